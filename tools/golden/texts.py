"""The texts of packages/commlm/src/text/golden-texts.ts, made in the same way, and the hashes of results.

The ranges and words are read from that file, so that there is one list of them.
"""

import ast
import hashlib
import re
from pathlib import Path

SOURCE = Path("packages/commlm/src/text/golden-texts.ts").read_text()


def literal(text: str) -> str:
    """The value of a quoted TypeScript string."""
    text = re.sub(r"\\u\{([0-9a-f]+)\}", lambda match: f"\\U{int(match[1], 16):08x}", text)
    return ast.literal_eval(text)


def block(name: str) -> str:
    start = SOURCE.index(f"const {name}")
    return SOURCE[start : SOURCE.index(";\n", start)]


def strings(name: str) -> list[str]:
    return [literal(match[0]) for match in re.finditer(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", block(name))]


RANGES = [(int(a, 16), int(b, 16)) for a, b in re.findall(r"\[0x([0-9a-f]+), 0x([0-9a-f]+)\]", block("RANGES"))]
SPACES = list(strings("SPACES")[0])
PUNCTUATION = list(strings("PUNCTUATION")[0])
WORDS = strings("WORDS")


class Numbers:
    def __init__(self, seed: int):
        self.state = seed

    def below(self, limit: int) -> int:
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return self.state * limit // 2**32

    def of(self, items: list):
        return items[self.below(len(items))]


def golden_texts(seed: int, count: int) -> list[str]:
    numbers = Numbers(seed)

    def letter(span: tuple[int, int]) -> str:
        return chr(span[0] + numbers.below(span[1] - span[0] + 1))

    def text() -> str:
        script, out = numbers.of(RANGES), ""
        for _ in range(numbers.below(20) + 1):
            kind = numbers.below(16)
            if kind < 6:
                for _ in range(numbers.below(6) + 1):
                    out += letter(script)
            elif kind < 7:
                out += letter(numbers.of(RANGES))
            elif kind < 9:
                out += numbers.of(SPACES)
            elif kind < 11:
                out += " "
            elif kind < 12:
                out += str(numbers.below(1000))
            elif kind < 14:
                out += numbers.of(PUNCTUATION)
            else:
                out += numbers.of(WORDS)
        return out

    return [text() for _ in range(count)]


def block_hashes(results: list[str], block_size: int) -> list[str]:
    blocks = [results[start : start + block_size] for start in range(0, len(results), block_size)]
    return [hashlib.sha256("\n".join(block).encode()).hexdigest()[:12] for block in blocks]
