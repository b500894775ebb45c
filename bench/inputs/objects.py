"""Many small objects: a JSON document built, written, read back and indexed; strings cut and joined; a class."""
import json


class Point:
    def __init__(self, x, y, name):
        self.x, self.y, self.name = x, y, name


total = 0
for turn in range(3):
    rows = [{"id": i, "name": "row %d" % i, "tags": ["t%d" % (i % 17), "u%d" % (i % 5)], "value": i * 0.5}
            for i in range(20000)]
    back = json.loads(json.dumps(rows))
    index = {row["name"]: row for row in back}
    points = [Point(i, i + 1, "p" + str(i)) for i in range(60000)]
    words = (" ".join(p.name for p in points)).split(" ")
    by_end = {}
    for word in words:
        by_end.setdefault(word[-2:], []).append(word)
    total += len(index) + len(by_end) + sum(p.x for p in points) + turn
print(total)
