"""The benchmark: image pairs with ground truth, levels of difficulty, matchers in separate processes, a report.

`mapdata benchmark --help` runs it. A matcher of another package takes part by its name, in ten lines:

    # my_matcher.py, anywhere on PYTHONPATH; `mapdata benchmark ... --matcher my_matcher:MyMatcher`
    from matcher.types import Matcher, Matches

    class MyMatcher(Matcher):
        name = "my-matcher"

        def correspond(self, image0, image1):  # H x W x 3 uint8 RGB each
            points0, points1, scores = find(image0, image1)  # (N, 2), (N, 2), (N,) pixel coordinates (x, y)
            return Matches(points0, points1, scores)

Reading pairs (`pairs`, `readers`), levels (`levels`) and metrics (`metrics`) are useful alone. A trial (`isolation`)
gives rows (`rows`), rows give results (`summary`, `statistics`), results give the report (`report`).
"""
