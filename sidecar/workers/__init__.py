"""Several processes that serve clients and share one that scores, started and watched over by a first one."""
