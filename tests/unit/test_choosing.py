"""The models of the book behind one face: class maps as objects, objects as class maps."""

import numpy as np
import pytest

from pixelwise import choosing, paths, recipe, results
from pixelwise.bench import case, choosing_table, contestants, record, runner, worker
from pixelwise.bench import choosing as suite
from pixelwise.data import objects

CLASSES = choosing.CLASSES


def of_classes(semantic, sure=0.8):
    """Probabilities with which each pixel has the class given, the rest spread evenly."""
    rest = (1 - sure) / (len(CLASSES) - 1)
    return np.where(semantic[..., None] == np.arange(len(CLASSES)), sure, rest).astype("float32")


@pytest.fixture
def two_shoes():
    """A scene of 6 x 9 pixels with two shoes and a bag that touches one."""
    semantic, numbers = np.zeros((2, 6, 9), "int32")
    for number, (label, rows, columns) in enumerate(
        [
            (4, slice(1, 3), slice(0, 3)),
            (4, slice(2, 5), slice(6, 8)),
            (5, slice(3, 6), slice(0, 2)),
        ]
    ):
        semantic[rows, columns], numbers[rows, columns] = label, number + 1
    targets = objects.batch([objects.of_labels(numbers, np.array([4, 4, 5]))])
    image = np.uint8(40 * semantic)[..., None] + np.uint8([0, 1, 2])
    return choosing.Truth(image, semantic, targets)


class Bright:
    """A network that tells the class by the brightness, and notes what it saw."""

    layers, input_shape = (), (None, None, None, 3)

    def __init__(self):
        self.seen = []

    def predict_on_batch(self, images):
        self.seen.append(images.shape)
        level = np.round(images[..., :1] * 255 / 40)
        return -20 * np.abs(level - np.arange(len(CLASSES)))

    def count_params(self):
        return 7


def test_the_pieces_of_a_class_map_are_objects(two_shoes):
    probabilities = of_classes(two_shoes.semantic)
    probabilities[2, 6] = of_classes(two_shoes.semantic, 0.6)[2, 6]
    answer = choosing.of_probabilities(probabilities)
    assert answer.semantic.dtype == np.int32 and (answer.semantic == two_shoes.semantic).all()
    found = answer.objects
    assert sorted(found["classes"]) == [4, 4, 5]
    order = np.argsort(found["boxes"][:, 0] + found["boxes"][:, 1])
    assert found["boxes"][order].tolist() == [[0, 1, 3, 3], [0, 3, 2, 6], [6, 2, 8, 5]]
    assert found["scores"][order] == pytest.approx([0.8, 0.8, (5 * 0.8 + 0.6) / 6])
    assert [mask.sum() for mask in found["masks"][order]] == [6, 6, 6]


def test_of_many_pieces_the_largest_are_kept(monkeypatch):
    monkeypatch.setattr(choosing, "LIMIT", 2)
    semantic = np.zeros((3, 12), "int32")
    semantic[1, [0, 2, 4, 5, 7, 8, 9]] = 1
    semantic[1, 11] = 2
    found = choosing.of_probabilities(of_classes(semantic)).objects
    assert [(c, m.sum()) for c, m in zip(found["classes"], found["masks"], strict=True)] == [
        (1, 3),
        (1, 2),
        (2, 1),
    ]


def test_of_objects_the_surest_is_on_top():
    masks = np.zeros((3, 4, 4), bool)
    masks[0, :2], masks[1, :, :2], masks[2, :, 3] = True, True, True
    found = {
        "boxes": np.float32([[0, 0, 4, 2], [0, 0, 2, 4], [3, 0, 4, 4]]),
        "classes": np.array([1, 2, 3]),
        "scores": np.float32([0.6, 0.9, 0.4]),
        "masks": masks,
    }
    answer = choosing.of_objects(found, (4, 4))
    assert answer.semantic.tolist() == [[2, 2, 1, 1]] * 2 + [[2, 2, 0, 0]] * 2
    assert answer.objects["classes"].tolist() == [1, 2, 3]  # the unsure one too
    assert choosing.of_objects(found, (4, 4), score=0.3).semantic[3, 3] == 3


def test_the_truth_is_right_by_both_measures_and_nothing_by_none(two_shoes):
    right = choosing.measure(
        lambda image: choosing.of_probabilities(of_classes(two_shoes[1])), [two_shoes]
    )
    assert right.result()["mean_iou"] == right.result()["mask_ap"] == 1
    nothing = choosing.measure(choosing.AllBackground(), [two_shoes]).result()
    assert nothing["mask_ap"] == nothing["mask_ap50"] == 0 and nothing["pictures"] == 1
    background = (two_shoes.semantic == 0).mean()
    assert nothing["mean_iou"] == pytest.approx(background / 3)  # of the classes that are seen


def test_touching_objects_of_a_class_are_one_piece():
    numbers = np.zeros((4, 8), "int32")
    numbers[1:3, 1:7] = [1, 1, 2, 2, 3, 3]
    semantic = np.int32(numbers > 0)
    targets = objects.batch([objects.of_labels(numbers, np.array([1, 1, 1]))])
    scene = choosing.Truth(np.zeros((4, 8, 3), "uint8"), semantic, targets)
    found = choosing.measure(lambda image: choosing.of_probabilities(of_classes(semantic)), [scene])
    assert found.result()["mean_iou"] == 1 and found.result()["mask_ap50"] == 0


def test_the_table_of_colours_knows_colours_only(two_shoes, sentence):
    colours = choosing.Colours([two_shoes])
    assert (colours(two_shoes.image).semantic == two_shoes.semantic).all()
    assert (colours(two_shoes.image[::-1]).semantic == two_shoes.semantic[::-1]).all()
    assert (colours(np.full((6, 9, 3), 255, "uint8")).semantic == 0).all()  # new: as most are
    assert np.allclose(colours.table.sum(-1), 1)
    for image in (two_shoes.image / 255, two_shoes.image[..., 0], two_shoes.image[None]):
        with pytest.raises(ValueError, match="are counted in uint8") as caught:
            colours(image)
        sentence(caught)
    with pytest.raises(ValueError, match="no example") as caught:
        choosing.Colours([])
    sentence(caught)


def test_a_network_sees_its_own_size_and_answers_at_the_pictures(two_shoes):
    model = Bright()
    image = two_shoes.image.repeat(4, 0).repeat(4, 1)
    answer = choosing.Pixels(model, 18)(image)
    assert set(model.seen) == {(1, 12, 18, 3)} and answer.semantic.shape == (24, 36)
    assert (answer.semantic[2::4, 2::4] == two_shoes.semantic).mean() > 0.9


def test_a_detector_is_asked_for_what_it_finds():
    class Finds:
        def find(self, pictures, sizes):
            assert pictures.shape[1:3] == (32, 32) and list(sizes) == [(32, 32)]
            masks = np.ones((1, 2, 28, 28), "float32")
            boxes = np.float32([[[8, 8, 24, 24], [0, 0, 0, 0]]])
            scores = np.float32([[0.9, 0]])
            return {"boxes": boxes, "classes": np.array([[3, 0]]), "scores": scores, "masks": masks}

    answer = choosing.Detections(Finds(), 32)(np.zeros((64, 64, 3), "uint8"))
    assert answer.objects["boxes"].tolist() == [[16, 16, 48, 48]]
    assert answer.semantic[20, 20] == 3 and answer.semantic[4, 4] == 0


def test_scenes_are_those_of_the_wardrobe():
    first, second = choosing.scenes(2, size=32)
    assert first.image.shape == (32, 32, 3) and first.image.dtype == np.uint8
    assert (first.image != second.image).any()
    again = choosing.scenes(1, size=32)[0]
    assert (again.image == first.image).all() and (again.semantic == first.semantic).all()
    masks = first.targets["masks"][0].astype(bool)
    assert ((first.semantic > 0) == masks.any(0)).all()
    with pytest.raises(ValueError, match="num_batches"):
        choosing.scenes(0)


def test_the_worst_picture_and_the_spread_of_few(two_shoes, sentence):
    empty = two_shoes._replace(semantic=np.zeros_like(two_shoes.semantic))
    score = choosing.measure(choosing.AllBackground(), [two_shoes, empty])
    assert score.by_picture() == pytest.approx([(two_shoes.semantic == 0).mean() / 3, 1])
    drawn = choosing.bootstrap(score.matrices, samples=200)
    whole = score.result()["mean_iou"]
    assert drawn.min() < whole < drawn.max() and drawn.shape == (200,)
    assert set(np.round(drawn, 6)) == set(
        np.round(
            [
                choosing.mean_iou(a * score.matrices[0] + (2 - a) * score.matrices[1])
                for a in range(3)
            ],
            6,
        )
    )
    assert np.ptp(choosing.bootstrap(score.matrices[:1], samples=20)) == 0
    with pytest.raises(ValueError, match="at least one picture") as caught:
        choosing.bootstrap([])
    assert sentence(caught)


@pytest.mark.parametrize("load", [choosing.load, choosing.load_generator])
def test_an_unknown_model_is_one_sentence(load, sentence):
    with pytest.raises(ValueError, match="'mask_rnn' here") as caught:
        load("mask_rnn")
    assert sentence(caught)


def test_a_name_that_is_none_and_a_seed_that_is_none(sentence):
    for call in (
        lambda: choosing.load(["fcn8s"]),
        lambda: choosing.load(None),
        lambda: choosing.bootstrap(np.ones((1, 2, 2)), seed="x"),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        sentence(caught)


def test_every_contestant_has_a_recipe_with_a_checkpoint_and_a_record():
    entries = [*contestants.SEGMENTERS.values(), *contestants.GENERATORS.values()]
    for entry in entries:
        if entry.recipe:
            plan = recipe.read(entry.recipe)
            assert plan.chapter == entry.chapter and plan.checkpoint["file"]
            assert results.read(entry.recipe)["steps"] == plan.training["steps"]
    assert len({entry.title for entry in entries}) == len(entries)


def test_the_cases_compute_on_the_backend_that_is_set(monkeypatch, sentence):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    cases = suite.cases()
    assert {one.backend for one in cases} == {"jax"} and all(one.told_runs for one in cases)
    assert len({(one.network, one.engine) for one in cases}) == len(cases)
    for one in cases:
        module, _, function = one.build.partition(":")
        assert module == suite.__name__ and callable(getattr(suite, function))
    assert [one.engine for one in cases if one.role == case.OTHERS] == ["all_background", "colours"]
    monkeypatch.delenv("KERAS_BACKEND")
    assert {one.backend for one in suite.cases()} == {"tensorflow"}
    with pytest.raises(ValueError, match="left to run on torch") as caught:
        runner.run("choosing", backends=["torch"])
    assert sentence(caught)


@pytest.fixture
def bright(monkeypatch):
    segmenter = choosing.Pixels(Bright(), 32)
    monkeypatch.setattr(choosing, "load", lambda name: segmenter)
    monkeypatch.setattr(worker, "keep_to", lambda threads: None)
    return segmenter


def job(**arguments):
    return {
        "build": f"pixelwise.bench.choosing:{arguments.pop('network')}",
        "arguments": arguments,
        "imports": (),
        "size": 32,
        "runs": 3,
        "threads": 1,
        "reference": None,
        "tolerance": None,
        "told_runs": True,
    }


def test_each_timed_call_is_for_another_scene(bright):
    row = worker.measure(**job(network="segmentation", name="fcn8s"))
    assert len(row["runs_ms"]) == 3 and row["median_ms"] > 0 and row["pictures"] == 3
    plain = choosing.measure(choosing.Pixels(Bright(), 32), choosing.scenes(3, 32)).result()
    assert {key: row[key] for key in plain} == results.plain(plain)
    assert row["parameters"] == 7 and row["trained_at"] == 96 and row["weights_kib"] > 1000
    assert row["train_seconds"] == results.get("fcn8s_wardrobe", "seconds")


def test_a_generative_model_draws_one_and_many(monkeypatch):
    class Draws:
        num_classes, drawn = 10, []

        def sample(self, n, seed):
            self.drawn.append((n, seed))
            return np.zeros((n, 28, 28, 1), "float32")

        def encode(self, pictures):
            raise NotImplementedError

        count_params = Bright.count_params

    monkeypatch.setattr(choosing, "load_generator", lambda name: Draws())
    monkeypatch.setattr(worker, "keep_to", lambda threads: None)
    row = worker.measure(**job(network="generation", name="cvae"))
    ones = [seed for n, seed in Draws.drawn if n == 1]
    assert ones == list(range(5)) and Draws.drawn[-1] == (64, suite.MANY_RUNS)
    assert row["fid_garments"] == results.get("cvae_garments", "test.fid_garments")
    assert row["encodes"] and row["bounds_likelihood"] and row["told_class"]
    assert row["trained_at"] is None and row["many_ms"] >= 0


def test_one_table_and_a_record(tmp_path, monkeypatch):
    figures = {"median_ms": 12.34, "best_ms": 10.0, "cpu_ms": 20.0, "peak_mib": 700, "gap": None}
    figures |= {"before_mib": 400, "parts_ms": {}, "runs_ms": [12.34] * 60}

    def measured(one, job, folder, accelerator):
        assert job["runs"] == 60 and job["told_runs"] and accelerator
        if one.engine == "mask_rcnn":
            return {"error": "its process was ended"}
        more = {"mean_iou": 0.5, "mask_ap": 0.25, "parameters": 2_000_000, "trained_at": None}
        return figures | (more if one.network == "segmentation" else {"fid_garments": 1.5})

    monkeypatch.setattr(runner, "_measured", measured)
    monkeypatch.setattr(paths, "results_dir", lambda: tmp_path)
    said = []
    found = runner.run("choosing", runs=60, threads=1, accelerator=True, say=said.append)
    lines = "\n".join(said).splitlines()
    fcn = next(line.split() for line in lines if line.strip().startswith("fcn8s"))
    assert fcn[:6] == ["fcn8s", "0.500", "0.250", "–", "12.3", "700"] and fcn[6] == "2.00"
    assert "  mask_rcnn         not run: its process was ended" in lines
    assert "segmentation: a test scene a call, 128 x 128 pixels, 1 thread, 60 calls" in lines
    assert said[-1] == choosing_table.foot(found["rows"], None) and "median" in said[-1]
    path = record.write(found)
    assert path.name == "bench_choosing_accelerator.json"
    kept = results.get("bench_choosing_accelerator", "test.segmentation.fcn8s")
    assert kept["mean_iou"] == 0.5 and "runs_ms" not in kept
    assert results.get("bench_choosing_accelerator", "description") == suite.DESCRIPTION
    command = results.get("bench_choosing_accelerator", "command")
    assert command == "pixelwise bench choosing --size 128 --runs 60 --threads 1 --accelerator"


def test_the_accelerator_is_hidden_unless_asked_for():
    one = suite.cases()[0]
    assert one.environment(1)["CUDA_VISIBLE_DEVICES"] == "-1"
    assert "CUDA_VISIBLE_DEVICES" not in one.environment(1, accelerator=True)
