"""Draws the pictures of the documentation: `python docs/images/draw.py` writes each of them for a light and for a dark page.

Our own drawings of ideas, with made-up histories. Every one is 440 units wide, so that its words can still be read on a phone,
and holds nothing but shapes and text in a font that the reader's system has. A test compares the files with what this would
write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

__all__ = ["DRAWINGS", "files"]

FOLDER = Path(__file__).parent
WIDTH = 440
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


@dataclass(frozen=True)
class Palette:
    """The colours of one scheme. `accent` is what is chosen or good, `warm` what is random, noised or a loss."""

    ink: str
    soft: str
    line: str
    faint: str
    accent: str
    accent_faint: str
    warm: str
    warm_faint: str


SCHEMES = {
    "light": Palette("#1d242b", "#56616b", "#b9c2c9", "#f0f3f5", "#0b66a0", "#dcebf6", "#a04400", "#fbe8db"),
    "dark": Palette("#e4e8ec", "#a9b3bd", "#4a545d", "#252c32", "#7cc0f2", "#17354d", "#ffa46b", "#44291a"),
}


@dataclass
class Sheet:
    """A drawing while it is drawn: shapes in order, the later above the earlier. Lengths in units, y grows downwards."""

    colours: Palette
    parts: list[str] = field(default_factory=list)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        colour: str = "",
        size: float = 14,
        anchor: str = "start",
        bold: bool = False,
        mono: bool = False,
    ) -> None:
        """One line of text whose foot is at y."""
        family = f' font-family="{MONO}"' if mono else ""
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}"'
            f' fill="{colour or self.colours.ink}"{weight}{family} xml:space="preserve">{escape(words, quote=False)}</text>'
        )

    def label(self, x: float, y: float, name: str, words: str, *, colour: str = "") -> None:
        """A name, and what is said of it behind it on the same line, however wide the reader's font is."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="14"><tspan font-size="15" font-weight="600"'
            f' fill="{colour or self.colours.ink}">{escape(name)}</tspan>'
            f'<tspan dx="9" fill="{self.colours.soft}">{escape(words, quote=False)}</tspan></text>'
        )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str = "none",
        stroke: str = "",
        radius: float = 7,
        thick: float = 1.25,
        dashed: bool = False,
    ) -> None:
        """A rectangle with round corners; its line is drawn where `stroke` is given."""
        line = f' stroke="{stroke}" stroke-width="{thick:g}"' if stroke else ""
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" fill="{fill}"{line}{dash}/>'
        )

    def dot(self, x: float, y: float, radius: float, *, fill: str) -> None:
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}"/>')

    def line(
        self, points: Sequence[tuple[float, float]], *, colour: str = "", arrow: bool = False, dashed: bool = False
    ) -> None:
        """A line through the points, with an arrow's head at its end."""
        colour = colour or self.colours.soft
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-linejoin="round"{dash}/>'
        )
        if arrow:
            (x0, y0), (x, y) = points[-2:]
            length = max(abs(x - x0) + abs(y - y0), 1e-9)
            along, across = ((x - x0) / length, (y - y0) / length), ((y0 - y) / length, (x - x0) / length)
            left, right = (
                f"{x - 7 * along[0] + side * across[0]:g},{y - 7 * along[1] + side * across[1]:g}" for side in (4, -4)
            )
            self.parts.append(f'<polygon points="{x:g},{y:g} {left} {right}" fill="{colour}"/>')

    def down(self, x: float, y: float, length: float = 16) -> None:
        """A short arrow downwards from (x, y)."""
        self.line([(x, y), (x, y + length)], arrow=True)

    def tiles(
        self, x: float, y: float, words: Sequence[str], *, width: float, gap: float, changed: int = -1, warm: bool = False
    ) -> None:
        """A history as tiles 32 high, oldest first, one of them changed."""
        colours = self.colours
        for place, word in enumerate(words):
            left = x + place * (width + gap)
            if place == changed:
                strong, weak = (colours.warm, colours.warm_faint) if warm else (colours.accent, colours.accent_faint)
                self.box(left, y, width, 32, fill=weak, stroke=strong, thick=2)
                self.text(left + width / 2, y + 21, word, anchor="middle", colour=strong, bold=True)
            else:
                self.box(left, y, width, 32, fill=colours.faint, stroke=colours.line)
                self.text(left + width / 2, y + 21, word, anchor="middle")

    def pill(self, x: float, y: float, width: float, words: str, *, warm: bool = False) -> None:
        """A name on a coloured ground, 28 high: what learns, or a loss where `warm`."""
        colours = self.colours
        strong, weak = (colours.warm, colours.warm_faint) if warm else (colours.accent, colours.accent_faint)
        self.box(x, y, width, 28, fill=weak, radius=14)
        self.text(x + width / 2, y + 19, words, anchor="middle", colour=strong, bold=True)


@dataclass(frozen=True)
class Drawing:
    """What a picture is called, what it shows in words (for who cannot see it), how high it is, and how it is drawn."""

    title: str
    description: str
    height: int
    draw: Callable[[Sheet], None]

    def svg(self, colours: Palette) -> str:
        sheet = Sheet(colours)
        self.draw(sheet)
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}"'
                f' height="{self.height}" role="img" aria-labelledby="title description" font-family="{FONT}">',
                f'<title id="title">{escape(self.title)}</title>',
                f'<desc id="description">{escape(self.description)}</desc>',
                *sheet.parts,
                "</svg>\n",
            ]
        )


HISTORY = ("tent", "stove", "mug", "lamp", "rope")
CONFIDENCE = (0.18, 0.71, 0.09, 0.24, 0.43)


def positions(sheet: Sheet) -> None:
    """The same diffusion, the same guesses; only who chooses the position is exchanged."""
    colours = sheet.colours
    width, gap, left = 78.0, 11.0, 3.0
    middles = [left + place * (width + gap) + width / 2 for place in range(5)]
    sheet.text(left, 16, "How sure the diffusion is of its best item", colour=colours.soft)
    foot = 112
    for middle, value in zip(middles, CONFIDENCE, strict=True):
        height = 92 * value
        strong = {max(CONFIDENCE): colours.accent, min(CONFIDENCE): colours.warm}.get(value, colours.line)
        sheet.box(middle - 15, foot - height, 30, height, fill=strong, radius=3)
        sheet.text(middle, foot - height - 6, f"{value:.2f}", anchor="middle", size=13, colour=colours.soft)
    sheet.tiles(left, foot + 8, HISTORY, width=width, gap=gap)
    sheet.text(left, foot + 60, "a history, oldest first", colour=colours.soft, size=13)

    top = 208
    sheet.label(left, top, "random", "chooses by the dice", colour=colours.warm)
    sheet.tiles(left, top + 12, ("tent", "stove", "vase", "lamp", "rope"), width=width, gap=gap, changed=2, warm=True)
    sheet.text(left, top + 64, "where nothing was known, a poor guess: another story", colour=colours.soft, size=13)

    top = 312
    sheet.label(left, top, "confidence", "chooses where the guess is surest", colour=colours.accent)
    sheet.tiles(left, top + 12, ("tent", "burner", "mug", "lamp", "rope"), width=width, gap=gap, changed=1)
    sheet.text(left, top + 64, "where the context tells the item: the same story", colour=colours.soft, size=13)


def neighbours(sheet: Sheet, x: float, y: float, *, faded: bool) -> None:
    """A position with noise: the item's nearest items as specks, above what is left of the item itself."""
    colours = sheet.colours
    if faded:
        sheet.box(x, y, 30, 30, fill=colours.faint, stroke=colours.line, radius=6)
    for right, below, radius in ((8, 9, 3.5), (20, 7, 2.5), (15, 17, 4), (24, 20, 3), (7, 22, 2.5)):
        sheet.dot(x + right, y + below, radius, fill=colours.warm)


def one_step(sheet: Sheet) -> None:
    """SimDiffRec's three objectives on one history."""
    colours = sheet.colours
    width, gap, left = 75.0, 9.0, 26.0
    right_half, step = 246.0, 37.0
    soft = colours.soft

    sheet.label(left, 15, "clean", "the history")
    sheet.tiles(left, 24, HISTORY, width=width, gap=gap)
    sheet.text(left, 80, "noise: the mean of each item's 30 nearest items", colour=colours.warm)

    for start, words in ((left, "to a random step"), (right_half, "to the last step")):
        sheet.down(start + 80, 88)
        sheet.text(start, 124, words, colour=soft, size=13)
        for place in range(5):
            neighbours(sheet, start + place * step, 132, faded=start == left)
        sheet.down(start + 80, 168)
    sheet.pill(left, 190, 411, "denoiser")
    for start in (left, right_half):
        sheet.down(start + 80, 222)

    foot = 286
    for place, value in enumerate(CONFIDENCE):
        sheet.box(left + place * step, foot - 30, 30, 30, fill=colours.faint, stroke=soft, radius=6, dashed=True)
        chosen = value == max(CONFIDENCE)
        height = max(42 * value, 3)
        sheet.box(
            right_half + place * step, foot - height, 30, height, fill=colours.accent if chosen else colours.line, radius=3
        )
    sheet.text(left, foot + 19, "restored, to learn from", colour=soft, size=13)
    sheet.text(right_half, foot + 19, "restored, to choose by", colour=soft, size=13)
    sheet.down(left + 80, foot + 28)
    sheet.pill(left, foot + 48, 160, "denoising loss", warm=True)
    sheet.down(right_half + 80, foot + 28)
    sheet.text(right_half, foot + 62, "the surest fifth of", colour=soft, size=13)
    sheet.text(right_half, foot + 78, "the positions", colour=soft, size=13)

    top = 396
    sheet.label(left, top, "positive", "the best item goes there", colour=colours.accent)
    sheet.tiles(left, top + 9, ("tent", "burner", "mug", "lamp", "rope"), width=width, gap=gap, changed=1)
    top = 464
    sheet.label(left, top, "hard negative", "the fifth best goes there", colour=colours.warm)
    sheet.tiles(left, top + 9, ("tent", "grill", "mug", "lamp", "rope"), width=width, gap=gap, changed=1, warm=True)

    sheet.line([(left - 4, 40), (8, 40), (8, 541), (left - 1, 541)], arrow=True)
    sheet.down(left + 205, 509)
    sheet.pill(left, 527, 411, "encoder")

    foot = 596
    sheet.box(left, foot - 33, 411, 80, stroke=colours.warm, radius=14)
    for x, name, colour in ((76, "positive", colours.accent), (230, "clean", colours.ink), (384, "negative", colours.warm)):
        sheet.down(x, 557, 23)
        sheet.dot(x, foot, 9, fill=colour)
        sheet.text(x, foot + 27, name, anchor="middle", size=13, colour=soft)
    sheet.line([(94, foot), (212, foot)], arrow=True, colour=colours.accent)
    sheet.text(153, foot - 8, "near", anchor="middle", size=13, colour=colours.accent)
    sheet.line([(248, foot), (366, foot)], colour=colours.warm, dashed=True)
    sheet.text(307, foot - 8, "far", anchor="middle", size=13, colour=colours.warm)
    sheet.pill(left + 14, foot + 34, 140, "contrast loss", warm=True)
    sheet.down(230, foot + 36, 34)
    sheet.pill(left + 104, foot + 74, 203, "recommendation loss", warm=True)
    sheet.text(WIDTH / 2, foot + 130, "recommendation + α · contrast + β · denoising", anchor="middle", bold=True)
    sheet.text(WIDTH / 2, foot + 150, "one backward pass", anchor="middle", colour=soft, size=13)


def plugins(sheet: Sheet) -> None:
    """Plugins on their shelves, a recipe that names some, the assembly that it becomes."""
    colours = sheet.colours
    left, soft = 3.0, colours.soft
    sheet.label(left, 16, "Plugins", "in the box, in a package, in your file")
    shelves = (
        ("encoders", (("transformer", 118), ("gru", 56)), "transformer"),
        ("noise sources", (("gaussian", 92), ("similarity", 98), ("yours", 68)), "similarity"),
        ("positions", (("random", 84), ("confidence", 110)), "confidence"),
    )
    for row, (kind, names, taken) in enumerate(shelves):
        y = 30 + row * 38
        sheet.text(left, y + 20, kind, colour=soft)
        x = 112.0
        for name, width in names:
            chosen = name == taken
            sheet.box(
                x,
                y,
                width,
                30,
                fill=colours.accent_faint if chosen else colours.faint,
                stroke=colours.accent if chosen else colours.line,
                radius=15,
                thick=2 if chosen else 1.25,
                dashed=name == "yours",
            )
            sheet.text(
                x + width / 2, y + 20, name, anchor="middle", colour=colours.accent if chosen else colours.ink, bold=chosen
            )
            x += width + 10
    sheet.down(WIDTH / 2, 150, 20)
    sheet.text(WIDTH / 2 + 14, 165, "named in", colour=soft, size=13)

    top = 196
    sheet.label(left, top, "Recipe", "one TOML file")
    sheet.box(left, top + 10, 434, 164, fill=colours.faint, stroke=colours.line)
    lines = (
        "[encoders.main]",
        'use = "transformer"',
        "[diffusions.main.noise]",
        'use = "similarity"',
        "[augmenters.diffused.replace]",
        'use = "confidence"',
        "[objectives.contrast]",
        'positive = "diffused.positive"',
    )
    for row, words in enumerate(lines):
        use = words.startswith("use")
        sheet.text(
            left + 14, top + 32 + row * 18.5, words, mono=True, size=13, colour=colours.accent if use else soft, bold=use
        )
    sheet.down(WIDTH / 2, top + 182, 20)
    sheet.text(WIDTH / 2 + 14, top + 197, "planned, rehearsed, built", colour=soft, size=13)

    top = 424
    sheet.label(left, top, "Assembly", "what runs")
    for place, (name, first, second) in enumerate(
        (
            ("parts", "encoder, items,", "diffusion: learn"),
            ("augmenters", "make views", "of the batch"),
            ("objectives", "one number", "each, from views"),
            ("scorer", "ranks the", "catalogue"),
        )
    ):
        x, y = left + (place % 2) * 222, top + 12 + (place // 2) * 84
        sheet.box(x, y, 212, 74, fill=colours.faint, stroke=colours.line)
        sheet.text(x + 14, y + 24, name, bold=True)
        sheet.text(x + 14, y + 44, first, colour=soft, size=13)
        sheet.text(x + 14, y + 61, second, colour=soft, size=13)


def ragged(sheet: Sheet) -> None:
    """Four histories as a padded rectangle and as one flat run."""
    colours = sheet.colours
    left, soft, lengths = 3.0, colours.soft, (3, 2, 9, 4)
    fills = (colours.accent, colours.warm, colours.soft, colours.line)
    longest, total = max(lengths), sum(lengths)
    cell, gap = 24.0, 4.0
    sheet.label(left, 16, "Padded", f"{len(lengths) * longest} cells, {total} of them real")
    for row, (length, fill) in enumerate(zip(lengths, fills, strict=True)):
        for place in range(longest):
            x, y = left + place * (cell + gap), 30 + row * (cell + gap)
            if place < length:
                sheet.box(x, y, cell, cell, fill=fill, radius=4)
            else:
                sheet.box(x, y, cell, cell, stroke=colours.line, radius=4, dashed=True)
    sheet.text(left + longest * (cell + gap) + 6, 47, "a mask says", colour=soft, size=13)
    sheet.text(left + longest * (cell + gap) + 6, 64, "which, and", colour=soft, size=13)
    sheet.text(left + longest * (cell + gap) + 6, 81, "everybody has", colour=soft, size=13)
    sheet.text(left + longest * (cell + gap) + 6, 98, "to remember it", colour=soft, size=13)

    top = 184
    sheet.label(left, top, "Ragged", f"{total} cells, all of them real")
    small, space, x = 19.0, 3.0, left
    offsets = [0]
    for length, fill in zip(lengths, fills, strict=True):
        sheet.line([(x + small / 2, top + 54), (x + small / 2, top + 44)], colour=soft)
        sheet.text(x + small / 2, top + 68, str(offsets[-1]), anchor="middle", size=13, colour=soft)
        for _ in range(length):
            sheet.box(x, top + 16, small, small + 5, fill=fill, radius=4)
            x += small + space
        x += 7
        offsets.append(offsets[-1] + length)
    sheet.text(x, top + 68, str(offsets[-1]), anchor="middle", size=13, colour=soft)
    sheet.line([(x, top + 54), (x, top + 44)], colour=soft)
    sheet.text(left, top + 90, "offsets: where each history begins, and the end", colour=soft, size=13)


DRAWINGS = {
    "positions": Drawing(
        "Random positions against confident ones",
        "A history of five items: tent, stove, mug, lamp, rope. A bar above each says how sure the diffusion is of its "
        "best item there: 0.18, 0.71, 0.09, 0.24, 0.43. The selector called random happens to choose the mug, of which "
        "nothing was known, and a vase stands in its place: another story. The selector called confidence chooses the "
        "stove, the surest, and a burner stands in its place: the same story.",
        384,
        positions,
    ),
    "step": Drawing(
        "One training step of SimDiffRec",
        "The clean history is mixed with the mean of each item's nearest items: once to a random step, once to the last "
        "step. The denoiser restores both. From the first the denoising loss learns. The second gives the confidence at "
        "each position; at the surest fifth of the positions the best item makes the positive view and the fifth best "
        "the hard negative. The encoder reads the clean history, the positive and the negative. The recommendation loss "
        "reads the clean states; the contrast loss wants the positive near the clean history and the negative far from "
        "it. The three losses are weighed and added, and one backward pass follows.",
        752,
        one_step,
    ),
    "plugins": Drawing(
        "Plugins, a recipe, an assembly",
        "Plugins of each kind stand on a shelf: encoders transformer and gru; noise sources gaussian, similarity and "
        "yours; positions random and confidence. A recipe, one TOML file, names transformer, similarity and confidence. "
        "It is planned, rehearsed and built into an assembly: parts that learn, augmenters that make views, objectives "
        "that give one number each, and a scorer that ranks the catalogue.",
        610,
        plugins,
    ),
    "ragged": Drawing(
        "A padded batch and a ragged one",
        "Four histories of 3, 2, 9 and 4 items. Padded, they are a rectangle of 36 cells, 18 of them real. Ragged, they "
        "are one flat run of 18 cells, all real, with the offsets 0, 3, 5, 14 and 18.",
        280,
        ragged,
    ),
}

MARK = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" role="img" aria-labelledby="title">
<title id="title">seqaug: a row of items, one of them exchanged</title>
<path d="M6 22 H26" stroke="#3a8fcb" stroke-width="2.5" stroke-linecap="round"/>
<circle cx="6" cy="22" r="4" fill="#3a8fcb"/>
<circle cx="26" cy="22" r="4" fill="#3a8fcb"/>
<circle cx="16" cy="22" r="3" fill="#3a8fcb"/>
<path d="M16 19 V13" stroke="#3a8fcb" stroke-width="2.5" stroke-linecap="round"/>
<circle cx="16" cy="8.5" r="4.5" fill="none" stroke="#e07b39" stroke-width="3"/>
</svg>
"""
"""The logo and the icon of the site, in colours for either scheme."""


def files() -> dict[str, str]:
    """Every file that is written, by its name."""
    drawn = {
        f"{name}-{scheme}.svg": drawing.svg(colours)
        for name, drawing in DRAWINGS.items()
        for scheme, colours in SCHEMES.items()
    }
    return drawn | {"mark.svg": MARK}


if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
