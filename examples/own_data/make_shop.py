"""Writes shop.csv: made-up purchases of made-up customers, the same file from the same seed.

    python make_shop.py shop.csv

SYNTHETIC: nobody bought any of this. Articles form circles, such as tea, cup, kettle; whoever bought one mostly buys the next
of its circle, so there is something to learn. The columns have names that no program would guess, as in real life.
"""

import csv
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

CIRCLES = (
    ("tea", "cup", "kettle", "sugar", "lemon"),
    ("tent", "stove", "lamp", "rope", "knife"),
    ("seed", "pot", "soil", "rake", "hose"),
    ("paper", "pencil", "ink", "brush", "frame"),
)


def purchases(seed: int, customers: int = 100) -> list[tuple[str, str, str, int]]:
    """(customer, article, time, stars), sorted by time: 5 to 14 purchases of each customer within the year 2025."""
    draw = random.Random(seed)
    rows = []
    for number in range(1, customers + 1):
        moment = datetime(2025, 1, 1) + timedelta(hours=draw.randrange(24 * 180))
        circle, place = draw.choice(CIRCLES), draw.randrange(5)
        for _ in range(draw.randint(5, 14)):
            rows.append((f"C{number:03}", circle[place], moment.isoformat(timespec="minutes"), draw.randint(2, 5)))
            if draw.random() < 0.15:
                circle = draw.choice(CIRCLES)
            place = (place + 1) % 5 if draw.random() < 0.8 else draw.randrange(5)
            moment += timedelta(hours=draw.randint(1, 24 * 12))
    return sorted(rows, key=lambda row: row[2])


if __name__ == "__main__":
    with Path(sys.argv[1]).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("customer", "article", "bought_at", "stars"))
        writer.writerows(purchases(seed=2025))
