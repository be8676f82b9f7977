"""The pictures of the course: the loop with a part highlighted, and one concept for each part.

`python docs/pictures.py` writes them to docs/images. Each is a plain SVG file, so that it shows wherever Markdown does;
docs/conf.py puts it into the page itself, where it follows the theme that the reader chooses.
"""

from html import escape
from pathlib import Path

IMAGES = Path(__file__).parent / "images"
WIDTH = 360
"""In units; a phone shows about one pixel for each, so that the smallest text has 12 pixels there."""
_LIGHT = "--paper:#f7f8fa;--box:#ffffff;--ink:#1f2933;--soft:#52606d;--line:#7b8794;--here:#0b5cad;--on:#ffffff"
_DARK = "--paper:#1c1f24;--box:#272b31;--ink:#e8eaed;--soft:#b6bec7;--line:#87919c;--here:#8fc1ff;--on:#10151b"
_STYLE = f"""
svg.picture{{{_LIGHT};font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-size:12px}}
@media screen and (prefers-color-scheme:dark){{svg.picture{{{_DARK}}}}}
body[data-theme=light] svg.picture{{{_LIGHT}}}
@media screen{{body[data-theme=dark] svg.picture{{{_DARK}}}}}
svg.picture .paper{{fill:var(--paper)}}
svg.picture .box{{fill:var(--box);stroke:var(--line);stroke-width:1}}
svg.picture .frame{{fill:none;stroke:var(--line);stroke-dasharray:4 3}}
svg.picture .here{{fill:var(--here);stroke:var(--here)}}
svg.picture .frame.here{{fill:none;stroke-width:3;stroke-dasharray:none}}
svg.picture text{{fill:var(--ink)}}
svg.picture .soft{{fill:var(--soft)}}
svg.picture .bold{{font-weight:600}}
svg.picture .code{{font-family:ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;font-size:11px}}
svg.picture .on{{fill:var(--on)}}
svg.picture .mark{{fill:var(--here)}}
svg.picture .arrow{{fill:none;stroke:var(--line);stroke-width:1.5}}
svg.picture .head{{fill:var(--line)}}
"""


class Drawing:
    """Shapes and texts, in order."""

    def __init__(self, title: str, height: int) -> None:
        self.title, self.height = title, height
        self._parts: list[str] = []

    def rectangle(self, x: float, y: float, width: float, height: float, style: str = "box") -> None:
        """Draw a rectangle."""
        self._parts.append(f'<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>')

    def text(self, x: float, y: float, text: str, style: str = "", anchor: str = "start") -> None:
        """Write one line."""
        self._parts.append(f'<text class="{style}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>')

    def box(  # noqa: PLR0913  # a place, a text and how it looks
        self, x: float, y: float, width: float, lines: str, *, here: bool = False, height: float = 0
    ) -> None:
        """Draw a box of lines: the first is bold, and a line in backticks is code."""
        texts = lines.split("\n")
        self.rectangle(x, y, width, height or 12 + 16 * len(texts), "box here" if here else "box")
        for row, line in enumerate(texts):
            styles = ["bold" if row == 0 else "", "code" if line.startswith("`") else "", "on" if here else ""]
            self.text(x + 9, y + 18 + 16 * row, line.strip("`"), " ".join(filter(None, styles)))

    def arrow(self, *points: tuple[float, float]) -> None:
        """Draw a line through points, vertical or horizontal at its end, with a head there."""
        (x0, y0), (x, y) = points[-2:]
        along, across = ((x > x0) - (x < x0), (y > y0) - (y < y0))
        path = " ".join(f"{px},{py}" for px, py in [*points[:-1], (x - 4 * along, y - 4 * across)])
        back, side = (x - 7 * along, y - 7 * across), (4 * across, 4 * along)
        corners = [(x, y), (back[0] + side[0], back[1] + side[1]), (back[0] - side[0], back[1] - side[1])]
        head = " ".join(f"{px},{py}" for px, py in corners)
        self._parts.append(f'<polyline class="arrow" points="{path}"/><polygon class="head" points="{head}"/>')

    def svg(self) -> str:
        """Return the picture as a file; its width there is that on a wide page."""
        body = "\n".join(self._parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" role="img" viewBox="0 0 {WIDTH} {self.height}" '
            f'width="{WIDTH * 4 // 3}" height="{self.height * 4 // 3}">\n<title>{escape(self.title)}</title>\n'
            f'<style>{_STYLE}</style>\n<rect class="paper" width="{WIDTH}" height="{self.height}" rx="8"/>\n'
            f"{body}\n</svg>\n"
        )


STATIONS = [
    (1, "Notebooks, Part 1\nprepare, train, evaluate\non your branch"),
    (2, "Unattended, Part 2\nthe same notebooks,\nwithout you"),
    (3, "Unit test, Part 3\ndoes each changed\nnotebook still run?"),
    (4, "CI, Part 4\nintegration: compare\non test wines"),
    (4, "Staging, Part 4\na pull request to main\nis opened by CI"),
    (5, "CD, Part 5\nmain: compare on\nproduction wines"),
    (5, "Production, Part 5\nthe new version, or\nunchanged"),
    (5, "Consumers, Part 5\nfind a model at every\nmoment"),
]
"""The stations of the loop with their part: the first half goes down, the second up again."""
STEPS = ["it runs", "git push", "pull request", "better", "merge, approval", "better", "load the slot", "next change"]


def loop(part: int | None = None) -> Drawing:
    """Draw the whole flow, the stations of a part highlighted; Part 0 is the ground under all of them."""
    drawing = Drawing("The loop" if part is None else f"The loop, with Part {part} highlighted", 432)
    drawing.rectangle(3, 3, WIDTH - 6, 426, "frame here" if part == 0 else "frame")
    drawing.text(12, 22, "Part 0: your machine, or your subscription", "bold mark" if part == 0 else "soft")
    half, wide, high, pitch = len(STATIONS) // 2, 160, 60, 96
    spots = [(12, 52 + pitch * row) for row in range(half)] + [
        (WIDTH - 12 - wide, 52 + pitch * row) for row in reversed(range(half))
    ]
    for at, (belongs, lines) in enumerate(STATIONS):
        x, y = spots[at]
        drawing.box(x, y, wide, lines, here=belongs == part)
        middle, down = x + 24, at < half
        if at == half - 1:
            drawing.arrow((x + wide, y + 30), (spots[half][0], y + 30))
            drawing.text(WIDTH / 2, y + high + 15, STEPS[at], "soft", "middle")
        elif at == len(STATIONS) - 1:
            drawing.arrow((x, y + 30), (12 + wide, y + 30))
            drawing.text(WIDTH / 2, y - 8, STEPS[at], "soft", "middle")
        else:
            drawing.arrow((middle, y + high), (middle, y + pitch)) if down else drawing.arrow(
                (middle, y), (middle, y - pitch + high)
            )
            drawing.text(middle + 10, y + high + 23 if down else y - 13, STEPS[at], "soft")
    return drawing


def machine() -> Drawing:
    """Draw what Part 0 leaves on the machine."""
    drawing = Drawing("Part 0: what is on your machine", 352)
    drawing.rectangle(3, 3, WIDTH - 6, 346, "frame here")
    drawing.text(12, 22, "your machine: no account, no other host", "bold mark")
    drawing.box(12, 34, 336, "your clone\n`src/workshop/notebooks`\n`.azure_pipelines`\n`.venv`")
    for y, text in ((70, "the course"), (86, "unit test, CI, CD"), (102, "the pinned packages")):
        drawing.text(200, y, text, "soft")
    drawing.arrow((60, 110), (60, 150))
    drawing.text(70, 135, "make cd", "code")
    drawing.arrow((236, 110), (236, 250))
    drawing.text(246, 135, "workshop", "code")
    drawing.text(246, 149, "devops start", "code")
    drawing.rectangle(12, 150, 200, 190, "frame")
    drawing.text(21, 168, ".workshop: what runs leave", "soft")
    drawing.box(21, 178, 182, "two tables of wine\ndevelopment, production")
    drawing.box(21, 230, 182, "model registry\nversion 1 in Production", here=True)
    drawing.box(21, 282, 182, "a folder for each run\nnotebooks and report")
    drawing.box(220, 250, 128, "the team's Git\n`main`\n`integration`\npull requests", height=90)
    return drawing


def modules() -> Drawing:
    """Draw one long notebook beside three modules."""
    drawing = Drawing("Part 1: one long notebook, or three modules", 330)
    drawing.text(12, 24, "one long notebook", "bold")
    drawing.rectangle(12, 36, 140, 212)
    for row, step in enumerate(("load", "clean", "explore", "train", "plot", "evaluate", "register")):
        drawing.text(24, 58 + 28 * row, step)
        if row:
            drawing.arrow((132, 42 + 28 * row), (132, 56 + 28 * row))
    for row, line in enumerate(("one change: all runs again,", "one file for everybody,", "values typed in cells")):
        drawing.text(12, 268 + 17 * row, line, "soft")
    drawing.text(190, 24, "three modules", "bold mark")
    for row, (lines, result) in enumerate(
        [("1_1\nprepare", "table"), ("1_2\ntrain", "version"), ("1_3\nevaluate", "verdict")]
    ):
        y = 36 + 74 * row
        drawing.box(190, y, 100, lines, here=True, height=48)
        drawing.arrow((240, y + 48), (240, y + 74))
        drawing.text(250, y + 65, result, "soft")
        drawing.arrow((322, 248), (322, y + 24), (290, y + 24))
    drawing.text(348, 262, "parameters", "soft", "end")
    for row, line in enumerate(("each runs alone, is tested", "alone, and is called with", "other values")):
        drawing.text(190, 278 + 17 * row, line, "soft")
    return drawing


def runners() -> Drawing:
    """Draw the three ways to run the same notebooks."""
    drawing = Drawing("Part 2: the same notebooks, run by you, by the agent, in a workspace", 320)
    drawing.box(12, 12, 336, "the same notebooks\n1_1, 1_2, 1_3 and their parameters", here=True)
    for row, (who, command, where, identity) in enumerate(
        [
            ("you", "workshop\nrun", "your files as they are", "you"),
            ("agent", "workshop\npipelines run", "a checkout of a commit", "the pipeline"),
            ("workspace", "workshop run\n--target\ndatabricks", "its own cluster", "service principal"),
        ]
    ):
        x = 12 + 115 * row
        drawing.arrow((x + 52, 56), (x + 52, 84))
        drawing.rectangle(x, 84, 106, 150)
        drawing.text(x + 8, 104, who, "bold")
        for line, word in enumerate(command.split("\n")):
            drawing.text(x + 8, 122 + 15 * line, word, "code")
        for line, word in enumerate(_halves(where)):
            drawing.text(x + 8, 174 + 15 * line, word)
        for line, word in enumerate(_halves("as: " + identity)):
            drawing.text(x + 8, 208 + 15 * line, word, "soft")
        drawing.arrow((x + 52, 234), (x + 52, 262))
    drawing.box(12, 262, 336, "one outcome\nexit code 0 better, 3 not better, 1 failed")
    return drawing


def triggers() -> Drawing:
    """Draw how branch and paths choose the pipelines that a push starts."""
    drawing = Drawing("Part 3: a push starts a pipeline by branch and by path", 314)
    drawing.box(12, 12, 336, "git push\na branch, and the files that its commits change", here=True)
    rows = [
        ("unit test", "any branch but", "main, integration", "1_1 to 1_4"),
        ("CI", "integration", "", "1_1, 1_2, 1_3"),
        ("CD", "main", "", "1_1, 1_2, 1_3"),
    ]
    drawing.text(21, 82, "which branch?", "bold")
    drawing.text(157, 82, "which files?", "bold")
    drawing.text(283, 82, "starts", "bold")
    for row, (pipeline, branch, more, files) in enumerate(rows):
        y = 94 + 70 * row
        drawing.box(12, y, 126, f"{branch}\n{more}" if more else branch, height=50)
        drawing.arrow((138, y + 25), (148, y + 25))
        drawing.box(148, y, 116, f"{files}\nor their code", height=50)
        drawing.arrow((264, y + 25), (274, y + 25))
        drawing.box(274, y, 74, pipeline, height=50)
    drawing.text(12, 302, "Both must fit; a change to the README starts none.", "soft")
    return drawing


def wines() -> Drawing:
    """Draw which wines train, test and decide."""
    drawing = Drawing("Part 4: test wines choose the candidate, production wines decide", 330)
    drawing.text(12, 24, "development wines", "bold")
    drawing.text(348, 24, "production wines", "bold", "end")
    drawing.box(12, 34, 106, "training\nthe model is\nfitted to these")
    drawing.box(124, 34, 106, "test\nheld out from\ntraining")
    drawing.box(244, 34, 104, "production\nseen by no\nmodel", here=True)
    drawing.arrow((65, 94), (65, 140))
    drawing.text(12, 158, "candidate", "soft")
    drawing.arrow((176, 94), (176, 140))
    drawing.arrow((296, 94), (296, 228))
    drawing.box(110, 140, 140, "CI compares\ncandidate, champion")
    drawing.arrow((76, 154), (110, 154))
    drawing.arrow((180, 184), (180, 228))
    drawing.text(190, 210, "Staging", "soft")
    drawing.box(110, 228, 238, "CD compares again\non wines not used for any choice", here=True)
    drawing.text(12, 296, "Better on test wines may be luck: each look at the same", "soft")
    drawing.text(12, 313, "wines is another chance. So CD decides on others.", "soft")
    return drawing


def swap() -> Drawing:
    """Draw the slot before and after its one move."""
    drawing = Drawing("Part 5: the slot moves in one call", 330)
    for x, title in ((12, "before"), (244, "after")):
        drawing.text(x, 24, title, "bold")
    drawing.text(180, 24, "one call", "bold mark", "middle")
    drawing.arrow((136, 34), (224, 34))
    for row, (left, right) in enumerate(
        [("version 1\nin Production", "version 1\narchived"), ("version 3\ncandidate", "version 3\nin Production")]
    ):
        y = 46 + 56 * row
        drawing.box(12, y, 104, left, here=row == 0)
        drawing.arrow((116, y + 22), (244, y + 22))
        drawing.box(244, y, 104, right, here=row == 1)
    drawing.text(12, 186, "What a consumer finds in the slot over time", "bold")
    moments = [("hot swap", "1 1 1 1 3 3 3 3", 198), ("archive, then promote", "1 1 1 – – 3 3 3", 256)]
    for title, found, y in moments:
        drawing.text(12, y + 18, title, "soft")
        for at, each in enumerate(found.split()):
            drawing.rectangle(12 + 42.5 * at, y + 26, 38, 24, "box here" if each == "3" else "box")
            drawing.text(31 + 42.5 * at, y + 42, each, "on" if each == "3" else "", "middle")
    return drawing


CONCEPTS = [machine, modules, runners, triggers, wines, swap]
"""By part."""


def _halves(text: str) -> list[str]:
    """Return a text as two lines."""
    words = text.split()
    cut = (len(words) + 1) // 2
    return [" ".join(words[:cut]), " ".join(words[cut:])]


def write(folder: Path = IMAGES) -> list[Path]:
    """Write all pictures, and return their paths."""
    drawings = {"loop.svg": loop()} | {f"loop_part_{part}.svg": loop(part) for part in range(6)}
    drawings |= {f"concept_part_{part}.svg": draw() for part, draw in enumerate(CONCEPTS)}
    for name, drawing in drawings.items():
        (folder / name).write_text(drawing.svg(), encoding="utf-8")
    return [folder / name for name in drawings]


if __name__ == "__main__":
    for path in write():
        print(path.name)
