from sidecar.rescoring.circuit_breaker import CircuitBreaker


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


def test_one_probe_at_a_time_and_success_closes() -> None:
    breaker = CircuitBreaker(threshold=1, cool_down=5.0).failed(0.0)
    probed = breaker.probed()
    assert not probed.allows(5.0)
    assert probed.succeeded().allows(5.1)
    assert not probed.failed(6.0).allows(10.9)
    assert probed.failed(6.0).allows(11.0)


def test_a_probe_that_tells_nothing_gives_its_place_to_the_next_request() -> None:
    breaker = CircuitBreaker(threshold=1, cool_down=5.0).failed(0.0)
    assert breaker.probed().abandoned().allows(5.0)
    assert not breaker.probed().abandoned().allows(4.9)


def test_a_closed_breaker_is_not_changed_by_requests() -> None:
    breaker = CircuitBreaker()
    assert breaker.probed() is breaker
