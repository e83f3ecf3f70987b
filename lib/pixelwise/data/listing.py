"""The files of a data set: what lies in its folders, and what its lists name."""

# Kinds of pictures that Pillow reads on every system.
ENDINGS = (
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)


def read_text(file):
    """Reads a text file, UTF-8 with or without a byte-order mark.

    Args:
        file: ``Path``.

    Returns:
        The text, with line ends of any system.

    Raises:
        ValueError: if the file is missing or is no such text.
    """
    if not file.is_file():
        raise ValueError(f"There is no {file}: add it, or unpack the archives again.")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file} is damaged ({error}): unpack the archives again, or save it as UTF-8."
        ) from error


def read_lines(file):
    """Reads a list: one entry a line, without empty lines and lines that begin with ``#``.

    Args:
        file: ``Path`` of a text file, see ``read_text``.

    Returns:
        List of texts without the blanks around them.

    Raises:
        ValueError: as ``read_text``.
    """
    lines = (line.strip() for line in read_text(file).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pictures_in(folder, tail=""):
    """Lists the pictures of a folder by name.

    Args:
        folder: ``Path``; hidden files and files that are no pictures are passed over.
        tail: what the names have at their end and is taken off, as ``"_mask"``; pictures without
            it are passed over.

    Returns:
        Dict from the name without ending and tail to the ``Path``, in the order of the names.

    Raises:
        ValueError: if there is no such folder, or two pictures have one name.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: check the name, or the layout.")
    found = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        known = file.suffix.lower() in ENDINGS and not file.name.startswith(".")
        if not known or not file.stem.endswith(tail):
            continue
        name = file.stem.removesuffix(tail)
        if name in found:
            raise ValueError(
                f"{folder} has two pictures of the name {name!r}, {found[name].name} and "
                f"{file.name}: keep one."
            )
        found[name] = file
    return found


def check_listed(
    names, there, folder, ending="", by="the list", advice="unpack the archives again"
):
    """Checks that what a list names is there.

    Args:
        names: the names on the list.
        there: container of the names that are there.
        folder: ``Path`` of the folder they should be in, for the sentence.
        ending: what the files have after the name, for the sentence.
        by: what names them, for the sentence.
        advice: what to do, for the sentence.

    Raises:
        ValueError: naming the first file that is missing.
    """
    missing = [name + ending for name in names if name not in there]
    if missing:
        raise ValueError(
            f"{folder} misses {missing[0]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
            + f", which {by} names: {advice}, or take the line out."
        )


def check_partners(files, partners, folder, tail="", kind="picture", partner="mask"):
    """Checks that each picture has its mask, or each mask its picture.

    Args:
        files: dict from names to paths.
        partners: container of the names of the others.
        folder: ``Path`` of the folder of the others, for the sentence.
        tail: what the others' names have at their end, for the sentence.
        kind: what ``files`` are.
        partner: what the others are.

    Raises:
        ValueError: naming the first file that is alone.
    """
    alone = [name for name in files if name not in partners]
    if alone:
        raise ValueError(
            f"The {kind} {files[alone[0]]} has no {partner} named {alone[0]}{tail} in {folder}"
            + (f", nor have {len(alone) - 1} more" if len(alone) > 1 else "")
            + f": add the {partner}, or move the {kind} away."
        )
