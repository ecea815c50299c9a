from sidecar.resilience.circuit_breaker import CircuitBreaker


def test_opens_after_failures_in_a_row() -> None:
    breaker = CircuitBreaker(threshold=2, cool_down=5.0)
    breaker = breaker.failed(1.0)
    assert breaker.allows(1.0)
    breaker = breaker.failed(2.0)
    assert not breaker.allows(6.9)
    assert breaker.allows(7.0)


def test_success_between_failures_starts_the_count_again() -> None:
    breaker = CircuitBreaker(threshold=2).failed(1.0).succeeded().failed(2.0)
    assert breaker.allows(2.0)


def test_one_probe_a_cool_down_and_success_closes() -> None:
    breaker = CircuitBreaker(threshold=1, cool_down=5.0).failed(0.0)
    probed = breaker.probing(5.0)
    assert not probed.allows(9.9)
    assert probed.allows(10.0)
    assert probed.succeeded().allows(5.1)
    assert not probed.failed(6.0).allows(10.9)


def test_a_closed_breaker_is_not_changed_by_requests() -> None:
    breaker = CircuitBreaker()
    assert breaker.probing(3.0) is breaker
