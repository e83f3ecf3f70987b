"""A book of two small chapters, to try the commands on."""

import pytest

from pixelwise.book.layout import Book

SETUP = """\
# %% tags=["shared"]
import pixelwise as pw
"""

ONE = (
    """\
# %% [markdown]
# # One
#
# The first chapter: $a < b$ and [the next](01_two.ipynb).

"""
    + SETUP
    + """
# %%
import matplotlib.pyplot as plt

figure = plt.figure(figsize=(1, 1))
_ = plt.plot([0, 1])
plt.show()

# %% tags=["shared"]
side = 3

# %% [markdown] tags=["exercise"]
# **Exercise 1.** Return the area of a square, see [the code](source/00_one.py).

# %% tags=["exercise"]
def area(side):
    # BEGIN SOLUTION
    return side**2
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("1"):
    assert area(side) == 9, "A square of side 3 has the area 9."
"""
)

TWO = (
    """\
# %% [markdown]
# # Two

"""
    + SETUP
    + """
# %%
from IPython.display import display

figure = {
    "chapter": "01_two",
    "name": "accuracy",
    "value": 0.5,
    "floor": 0.4,
    "recorded": 0.9,
    "budget": pw.budget.current().name,
    "better": "higher",
}
display({"text/plain": "accuracy: 0.500", pw.budget.MIME: figure}, raw=True)
"""
)


@pytest.fixture
def book(tmp_path):
    """Returns a book with the sources of two chapters, not built."""
    book = Book(tmp_path)
    book.sources.mkdir(parents=True)
    (book.sources / "_setup.py").write_text(SETUP)
    (book.sources / "00_one.py").write_text(ONE)
    (book.sources / "01_two.py").write_text(TWO)
    return book
