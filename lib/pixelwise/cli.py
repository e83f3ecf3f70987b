"""The command ``pixelwise``."""

import argparse
import sys
from pathlib import Path

from pixelwise import budget, paths
from pixelwise.quiet import quiet

_DESCRIPTION = "Runs, builds and measures the chapters of the book, and trains its recipes."


def main(arguments=None):
    """Runs the command.

    Args:
        arguments: what stands behind ``pixelwise`` on the command line; by default ``sys.argv``.

    Returns:
        The exit status: 0 if all went well, 1 if something failed, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        print(f"pixelwise: {_sentence(error)}", file=sys.stderr)
        return 1


def _sentence(error):
    """Returns an error in one line, with the file that the system complains of."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, ModuleNotFoundError):
        return f"{error}: install it, or set KERAS_BACKEND to a backend that is installed."
    return " ".join(str(error).split())


def _parser():
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="pixelwise", description=_DESCRIPTION)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="execute the chapters in order, into build/")
    run.add_argument("chapters", nargs="*", metavar="CHAPTER", help="number or name; default all")
    run.add_argument("--resume", action="store_true", help="skip what is finished and unchanged")
    run.add_argument("--budget", choices=budget.NAMES, help="default: full on a GPU, else quick")
    run.add_argument("--record", action="store_true", help="note what it took in results/")
    run.add_argument(
        "--jobs", type=int, help="chapters at a time; default: 2 on a CPU, 1 on a GPU or to record"
    )
    run.set_defaults(command=_run)

    build = commands.add_parser("build", help="write the notebooks from their sources, executed")
    build.add_argument("chapters", nargs="*", metavar="CHAPTER", help="number or name; default all")
    build.add_argument("--budget", choices=budget.NAMES, default="quick", help="default: quick")
    build.add_argument("--text", action="store_true", help="only the prose; keep the outputs")
    build.set_defaults(command=_build)

    train = commands.add_parser("train", help="train a recipe and record its results")
    train.add_argument("recipe", metavar="RECIPE", help="name of a file in lib/pixelwise/recipes/")
    train.add_argument("--seed", type=int, help="default: each seed of the recipe")
    train.add_argument("--steps", type=int, help="fewer or more steps than the recipe says")
    train.add_argument("--no-resume", action="store_true", help="begin anew")
    train.add_argument("--data-root", type=Path, help="where a downloaded data set lies")
    train.set_defaults(command=_train)

    evaluate = commands.add_parser(
        "evaluate", help="measure a recipe's recorded network again, with what may follow it"
    )
    evaluate.add_argument("recipe", metavar="RECIPE", help="one that has a checkpoint")
    evaluate.add_argument(
        "--after", default="nothing", help="nothing (default), crf, mirror or scales"
    )
    evaluate.add_argument("--data-root", type=Path, help="where a downloaded data set lies")
    evaluate.add_argument("--record", action="store_true", help="note the figures in results/")
    evaluate.set_defaults(command=_evaluate)

    bench = commands.add_parser("bench", help="time our networks beside others' on this machine")
    bench.add_argument(
        "suite", metavar="SUITE", help="segmentation, detection, generation or choosing"
    )
    bench.add_argument("--size", type=int, help="side of the picture; default: the suite's")
    bench.add_argument("--runs", type=int, help="timed calls of each; default: the suite's")
    bench.add_argument("--only", nargs="+", default=(), metavar="NETWORK", help="default: all")
    bench.add_argument(
        "--backends", nargs="+", default=(), metavar="BACKEND", help="of Keras; default: all"
    )
    bench.add_argument("--threads", type=int, help="default: all processors")
    bench.add_argument(
        "--accelerator", action="store_true", help="compute where Keras would; default: processor"
    )
    bench.add_argument("--record", action="store_true", help="note the figures in results/")
    bench.set_defaults(command=_bench)

    results = commands.add_parser("results", help="show what is on record")
    results.add_argument(
        "--readme", action="store_true", help="bring the README's table and all marked numbers up"
    )
    results.set_defaults(command=_results)

    address = commands.add_parser("address", help="show or change the repository's address")
    address.add_argument("url", nargs="?", metavar="URL", help="https://github.com/OWNER/NAME")
    address.set_defaults(command=_address)
    return parser


def _book(options):
    """Returns the book that the command works on."""
    from pixelwise.book.layout import Book

    return Book((options.root or paths.repository()).resolve())


def _run(options):
    from pixelwise.book import running

    return running.run(
        _book(options),
        options.chapters,
        budget=options.budget,
        resume=options.resume,
        record=options.record,
        jobs=options.jobs,
    )


def _build(options):
    from pixelwise.book import building
    from pixelwise.book.layout import select

    book = _book(options)
    for name in select(options.chapters, book.source_names()):
        try:
            if options.text:
                building.rewrite_prose(book, name)
            else:
                building.build(book, name, budget=options.budget)
        except building.BuildFailed as failure:
            print(failure, file=sys.stderr)
            return 1
    return 0


def _train(options):
    with quiet():
        from pixelwise import training

    result = training.train(
        options.recipe,
        seed=options.seed,
        steps=options.steps,
        resume=not options.no_resume,
        data_root=options.data_root,
    )
    _show(result)


def _evaluate(options):
    with quiet():
        from pixelwise import evaluation

    _show(
        evaluation.evaluate(
            options.recipe, after=options.after, data_root=options.data_root, write=options.record
        )
    )


def _show(result):
    """Prints the figures of a record, and the files that were written."""
    for metric, value in result["test"].items():
        if isinstance(value, float):
            print(f"{metric:24}{value:.4f}")
        elif isinstance(value, dict):  # over several seeds
            print(f"{metric:24}{value['mean']:.4f} (standard deviation {value['std']:.4f})")
    for path in result.get("written", []):
        print(f"written: {path}")


def _bench(options):
    from pixelwise.bench import record, runner

    if options.record and (options.only or options.backends):
        raise ValueError("A record has all networks and backends: leave out --only and --backends.")
    found = runner.run(
        options.suite,
        size=options.size,
        runs=options.runs,
        only=options.only,
        backends=options.backends,
        threads=options.threads,
        accelerator=options.accelerator,
    )
    if options.record:
        print(f"written: {record.write(found)}")
    return 1 if any(row.get("wrong") for row in found["rows"]) else 0


def _results(options):
    if options.readme:
        return _refresh(_book(options))
    from pixelwise import results

    rows = results.summary()
    print(f"{'recipe':24}{'metric':20}{'value':>9}{'spread':>9}{'seeds':>7}{'seconds':>9}  device")
    for row in rows:
        value, spread = (_or_dash(row[key]) for key in ("value", "std"))
        print(
            f"{row['recipe']:24}{row['metric'] or '':20}{value:>9}{spread:>9}{row['n']:>7}"
            f"{row['seconds']:>9.0f}  {row['device']}"
        )


def _refresh(book):
    """Brings the README's table and the marked numbers of README and sources up to the record."""
    from pixelwise import results
    from pixelwise.book import address, layout, markers, sources

    changed = markers.refresh_files(book, results.get)
    readme = book.root / "README.md"
    titles = {
        name: sources.title(sources.read(book.sources / f"{name}.py"))
        for name in book.source_names()
    }
    recorded = {name: budget.recorded(name) for name in titles}
    table = markers.chapter_table(book, titles, recorded, address.current(book.root))
    text = readme.read_text(encoding="utf-8")
    if (new := markers.rewrite_table(text, table)) != text:
        layout.write_text(readme, new)
        changed.append(readme)
    for path in sorted(set(changed)):
        print(f"{path.relative_to(book.root)} rewritten")
    if any(path.suffix == ".py" for path in changed):
        print("Sources changed: 'pixelwise build --text' carries their prose into the notebooks.")


def _address(options):
    from pixelwise.book import address

    root = _book(options).root
    if options.url is None:
        print(address.current(root))
        return
    for path in address.change(root, options.url):
        print(path.relative_to(root))


def _or_dash(value):
    """Returns a figure as text, or a dash."""
    return "\u2013" if value is None else budget.number(value)


if __name__ == "__main__":
    sys.exit(main())
