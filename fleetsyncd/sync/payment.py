"""A pause for what a vehicle's answers cost, so that one vehicle takes a small share of the CPU."""

import time

FAIR_SEC, FAIR_ROW_SEC = 0.03, 1e-5
"""CPU time that any answer, and each of its good rows, may cost; an honest one takes a tenth."""
PAUSE_FOR_DEAR = 19
"""Seconds of pause for each second of CPU time beyond that."""
PAUSE_AFTER_TOO_LARGE_SEC = 0.5


def pay(cpu_sec: float, good_rows: int = 0) -> None:
    """Pause for CPU time that an answer has cost beyond what its good rows are worth."""
    dear_sec = cpu_sec - FAIR_SEC - FAIR_ROW_SEC * good_rows
    if dear_sec > 0:
        time.sleep(dear_sec * PAUSE_FOR_DEAR)
