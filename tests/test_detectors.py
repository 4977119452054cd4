"""Detectors score as the libraries and papers they follow, and the command says what it found or what is wrong."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn import decomposition, ensemble, metrics, preprocessing

from flows import cli, detector_files
from models import autoencoder, base, detectors, encoding, labelled, mlp
from warehouse import errors

# Small enough for every run; all eleven are in tests/benchmarks/test_detectors_on_tables.py.
SMALL = ("04_breastw", "06_cardio", "38_thyroid", "45_wine")


def table_of(folder, name):
    rows = pd.read_parquet(folder / "anomaly" / "tabular" / f"{name}.parquet")
    labels = rows.pop("label").to_numpy()
    values = rows.to_numpy(np.float64)
    return values[:, values.std(axis=0) > 0], labels


def auc(name, rows, labels):
    return metrics.roc_auc_score(labels, detectors.make(name, seed=0).fit(rows).score(rows))


@pytest.mark.parametrize("name", SMALL)
def test_pca_scores_as_scikit_learns_reconstruction(vendor_data, name):
    rows, labels = table_of(vendor_data, name)
    standard = preprocessing.StandardScaler().fit_transform(rows)
    pca = decomposition.PCA(n_components=0.9, svd_solver="full").fit(standard)
    error = ((standard - pca.inverse_transform(pca.transform(standard))) ** 2).sum(axis=1)

    assert auc("pca", rows, labels) == pytest.approx(metrics.roc_auc_score(labels, error), abs=0.02)


@pytest.mark.parametrize("name", SMALL)
def test_isolation_forest_scores_as_scikit_learns(vendor_data, name):
    rows, labels = table_of(vendor_data, name)
    forest = ensemble.IsolationForest(n_estimators=100, random_state=0).fit(rows)

    assert auc("isolation_forest", rows, labels) == pytest.approx(
        metrics.roc_auc_score(labels, -forest.score_samples(rows)), abs=0.02
    )


# ROC-AUC of PyOD 3.6.7's ECOD, fitted on the same tables without their constant columns (2026-11-21).
PYOD_ECOD = {"02_annthyroid": 0.788665, "04_breastw": 0.991396, "06_cardio": 0.935001, "23_mammography": 0.906157}


@pytest.mark.parametrize("name", PYOD_ECOD)
def test_ecod_scores_as_pyods(vendor_data, name):
    assert auc("ecod", *table_of(vendor_data, name)) == pytest.approx(PYOD_ECOD[name], abs=0.0001)


def test_ecod_is_the_formula_on_a_column_worked_by_hand():
    """1, 2, 2, 7: the mean is 3, the skewness positive, so that the right tail counts, or the left if less likely."""
    scores = detectors.ECOD().fit(np.array([[1.0], [2.0], [2.0], [7.0]])).score(np.array([[1.0], [2.0], [7.0], [9.0]]))

    # 1: left tail 1/4, right 4/4. 2: left 3/4, right 3/4. 7: right 1/4. 9: beyond all, 1/5.
    np.testing.assert_allclose(scores, -np.log([0.25, 0.75, 0.25, 0.2]))


def test_ecod_adds_both_tails_where_a_column_is_symmetric():
    scores = detectors.ECOD().fit(np.array([[-1.0], [0.0], [1.0]])).score(np.array([[0.0]]))

    # 2/3 on either side.
    assert scores[0] == pytest.approx(-2 * np.log(2 / 3))


@pytest.fixture(scope="module")
def plane():
    """Rows whose last two columns are the first two, mixed; the last row breaks the pattern, not the ranges."""
    rng = np.random.default_rng(3)
    free = rng.normal(size=(400, 2))
    rows = np.column_stack([free, free @ np.array([[1.0, 0.5], [-0.5, 1.0]])]) + rng.normal(0, 0.05, (400, 4))
    rows[-1] = [1.0, 1.0, -1.0, -1.0]
    return rows


def make(name):
    """A detector with seed 1; one network stands for all in tests, as each takes seconds."""
    if name == "autoencoder":
        return autoencoder.Autoencoder(seed=1, n_networks=1)
    return detectors.make(name, seed=1)


@pytest.fixture(scope="module")
def fitted(plane):
    """A function that gives a detector fitted on the plane with seed 1, fitted once for all tests that look at it."""
    made = {}

    def fit(name):
        if name not in made:
            made[name] = make(name).fit(plane)
        return made[name]

    return fit


@pytest.mark.parametrize("name", ["pca", "autoencoder"])
def test_row_that_breaks_the_pattern_has_the_highest_score(name, plane, fitted):
    assert fitted(name).score(plane).argmax() == 399


def test_autoencoder_scores_as_keras_would_with_its_weights():
    """Normalisation is taken into the weights, so that scoring needs no Keras: the network itself says the same."""
    rows = np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32)
    with mlp.keras_session(0) as keras:
        network = autoencoder.build(keras, 3, 5)
        network.compile(loss="mse")
        # Statistics of the normalisation move with training only.
        network.fit(rows, rows, epochs=3, verbose=0)
        rebuilt = network.predict(rows, verbose=0)
        layers = autoencoder.folded(network)
    detector = autoencoder.Autoencoder()
    detector.n_columns_, detector.mean_, detector.scale_ = 3, np.zeros(3), np.ones(3)
    detector.networks_, detector.usual_errors_ = [layers, layers], [np.ones(3), np.array([1.0, 2.0, 4.0])]

    squares = (rows - rebuilt) ** 2
    expected = (squares.sum(axis=1) + squares @ [1, 1 / 4, 1 / 16]) / 2
    np.testing.assert_allclose(detector.score(rows), expected, rtol=1e-4)


def test_first_of_two_networks_is_the_one_alone_and_the_second_another(plane):
    """The seed repeats a network, then. After a few steps, as what is asked is not how good it is."""
    one, both = (autoencoder.Autoencoder(seed=1, n_networks=n, fewest_steps=20).fit(plane[:64]) for n in (1, 2))

    (alone,) = one.networks_
    first, second = both.networks_
    for ours, theirs in zip(alone, first, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
    assert not np.array_equal(second[0][0], alone[0][0])


@pytest.mark.parametrize("name", sorted(set(detectors.DETECTORS) - {"autoencoder"}))
def test_seed_repeats_the_scores(name, plane, fitted):
    np.testing.assert_array_equal(fitted(name).score(plane), make(name).fit(plane).score(plane))


@pytest.mark.parametrize("name", detectors.DETECTORS)
def test_score_depends_on_its_own_row(name, plane, fitted):
    scores = fitted(name).score(plane)

    np.testing.assert_array_equal(scores[7:9], fitted(name).score(plane[7:9]))


@pytest.mark.parametrize("name", detectors.DETECTORS)
def test_rows_with_holes_or_other_columns_are_refused(name, fitted):
    detector = fitted(name)

    with pytest.raises(base.MissingValues, match="1 of 4 values are missing or infinite"):
        detector.score(np.array([[1.0, np.nan, 0.0, 0.0]]))
    with pytest.raises(base.ColumnMismatch, match=r"rows have shape \(1, 3\), with 4 columns wanted"):
        detector.score(np.zeros((1, 3)))


def test_text_becomes_its_rarity_and_a_hole_the_median():
    columns = {
        "board": np.array(["main", "main", "main", "star"], object),
        "price": np.array([1.0, np.nan, 3.0, 8.0]),
        "same": np.full(4, 5.0),
    }
    encoder = encoding.TableEncoder().fit(columns)

    encoded = encoder.transform(columns | {"board": np.array(["main", "star", "none", None], object)})

    assert encoder.constant_ == ["same"]
    np.testing.assert_allclose(encoded[:, 0], -np.log([0.75, 0.25, 0.2, 0.2]))
    np.testing.assert_allclose(encoded[:, 1], [1.0, 3.0, 3.0, 8.0])


def test_figures_are_those_counted_by_hand():
    """Ten rows, two anomalies; three flagged, one of them rightly."""
    scores = np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    labels = np.array([1, 0, 0, 0, 1, 0, 0, 0, 0, 0])

    judged = labelled.judge(scores, labels, threshold=6.5, budget=5)

    counts = [judged[name] for name in ("true_positives", "false_positives", "false_negatives", "true_negatives")]
    assert counts == [1, 2, 1, 6]
    assert judged["precision"] == pytest.approx(1 / 3)
    assert judged["recall"] == 0.5
    assert judged["f1"] == pytest.approx(2 * (1 / 3) * 0.5 / (1 / 3 + 0.5))
    assert judged["accuracy"] == 0.7
    # Of 16 pairs of an anomaly and a normal row, 8 + 5 are in order; precisions at the anomalies are 1/1 and 2/5.
    assert judged["roc_auc"] == pytest.approx(13 / 16)
    assert judged["average_precision"] == pytest.approx((1 + 0.4) / 2)
    assert (judged["precision_at_budget"], judged["recall_at_budget"]) == (0.4, 1.0)
    assert judged["always_normal"]["accuracy"] == 0.8
    assert judged["always_normal"]["recall"] == 0.0
    assert judged["always_normal"]["average_precision"] == 0.2


def test_figures_that_are_not_defined_are_none():
    judged = labelled.judge(np.array([1.0, 2.0]), np.array([0, 0]), threshold=5.0, budget=3)

    assert [judged[name] for name in ("precision", "recall", "roc_auc", "average_precision")] == [None] * 4
    assert judged["budget"] == 2


@pytest.fixture
def market_file(tmp_path):
    """Two hundred rows with a column of text; the last two are far out."""
    rng = np.random.default_rng(5)
    table = pa.table(
        {
            "volume": [*rng.normal(10, 1, 198), 40.0, 45.0],
            "price": [*rng.normal(5, 1, 198), 20.0, 25.0],
            "board": ["main"] * 198 + ["odd", "odd"],
            "fixed": [1] * 200,
            "label": [0] * 198 + [1, 1],
        }
    )
    path = tmp_path / "market.parquet"
    parquet.write_table(table, path)
    return path


def run(*arguments):
    return cli.app([str(each) for each in arguments], standalone_mode=False)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_command_writes_scores_and_prints_figures(market_file, tmp_path, capsys, ending):
    out = tmp_path / f"scored.{ending}"

    run("detect", market_file, "--detector", "ecod", "--label", "label", "--budget", "2", "--out", out, "--json")

    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert facts["labelled"]["recall_at_budget"] == 1.0
    assert facts["constant_columns"] == ["fixed"]
    assert "left out fixed: every value learned from is the same" in printed.err
    scored = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    assert set(scored.nlargest(2, "anomaly_score").index) == {198, 199}
    assert scored["is_anomaly"].sum() == facts["n_flagged"]


def test_page_of_rare_anomalies_shows_what_always_normal_would_score(tmp_path, capsys):
    """18 of 10,000 rows, nearly as rare as fraud among card payments: accuracy praises whoever says nothing."""
    rng = np.random.default_rng(6)
    labels = (np.arange(10_000) % 588 == 0).astype(int)
    rows = pd.DataFrame(rng.normal(0, 1, (10_000, 3)) + 4 * labels[:, None], columns=["a", "b", "c"])
    rows.assign(label=labels).to_parquet(tmp_path / "rare.parquet")
    out = tmp_path / "scored.parquet"

    run("detect", tmp_path / "rare.parquet", "--detector", "ecod", "--label", "label", "--budget", "10", "--out", out)

    printed = capsys.readouterr().out
    scored = pd.read_parquet(out)
    first = scored.nlargest(10, "anomaly_score")["label"]
    accuracy = metrics.accuracy_score(scored["label"], scored["is_anomaly"])
    precision = metrics.average_precision_score(scored["label"], scored["anomaly_score"])
    assert "18 of 10000 rows are labelled anomalous (0.18%)" in printed
    figures = dict(re.findall(r"^(accuracy|recall|average precision) +(\S+ +\S+)$", printed, re.MULTILINE))
    assert figures["accuracy"].split() == [f"{accuracy:.4f}", "0.9982"]
    assert figures["average precision"].split() == [f"{precision:.4f}", "0.0018"]
    assert figures["recall"].split()[1] == "0.0000"
    assert f"of the first 10 alerts {first.mean():.4f} are right; they find {first.sum() / 18:.4f}" in printed
    # What finds nothing is right more often than what finds them.
    assert accuracy < 0.9982


def test_label_is_not_learned_from(market_file, tmp_path):
    """The same scores whether or not the label column is there."""
    without = tmp_path / "without.csv"
    pd.read_parquet(market_file).drop(columns="label").to_csv(without, index=False)
    outs = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    detector_files.detect_file(market_file, None, outs[0], detector_files.Wanted("pca", "label"))
    detector_files.detect_file(without, None, outs[1], detector_files.Wanted("pca"))

    first, second = (pd.read_parquet(out)["anomaly_score"] for out in outs)
    np.testing.assert_allclose(first, second, rtol=1e-9)


def test_rows_are_scored_by_what_another_file_teaches(market_file, tmp_path):
    few = tmp_path / "few.csv"
    few.write_text("volume,price,board\n10,5,main\n45,25,new\n")
    out = tmp_path / "scored.csv"

    unlabelled = tmp_path / "unlabelled.csv"
    pd.read_parquet(market_file).drop(columns="label").to_csv(unlabelled, index=False)

    found = detector_files.detect_file(few, unlabelled, out, detector_files.Wanted("isolation_forest", share=0.02))

    assert found["n_rows"] == 2
    assert pd.read_csv(out)["is_anomaly"].tolist() == [False, True]


BAD = {
    "no such label": ("a,b\n1,2\n3,4\n", "label", errors.ConfigError, "has no column label; it has a, b"),
    "label is a word": ("a,label\n1,yes\n3,no\n", "label", errors.ModelRefused, "label column label holds 'no', 'yes'"),
    "label is missing": ("a,label\n1,0\n3,\n", "label", errors.ModelRefused, "label column label holds None"),
    "all columns constant": ("a,b\n1,2\n1,2\n", "", errors.ModelRefused, "no column has two different values: a, b"),
    "no row": ("a,b\n", "", errors.ConfigError, "has no rows"),
    "nothing at all": ("", "", errors.ConfigError, "cannot be read: Empty CSV file"),
    "one name twice": ("a,a\n1,2\n3,4\n", "", errors.ConfigError, "has more than one column a"),
    "ragged": ("a,b\n1,2\n1,2,3\n", "", errors.ConfigError, "cannot be read: CSV parse error"),
}


@pytest.mark.parametrize(("text", "label", "error", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_one_clear_line(tmp_path, text, label, error, words):
    path = tmp_path / "table.csv"
    path.write_text(text)

    with pytest.raises(error, match=words) as caught:
        detector_files.detect_file(path, None, tmp_path / "out.csv", detector_files.Wanted("ecod", label))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.csv").exists()


def test_file_that_is_not_there_and_ending_that_is_unknown_are_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match="there is no file"):
        detector_files.detect_file(tmp_path / "no.csv", None, tmp_path / "out.csv", detector_files.Wanted("ecod"))
    with pytest.raises(errors.ConfigError, match=r"Name a \.parquet or a \.csv file"):
        detector_files.detect_file(tmp_path / "no.csv", None, tmp_path / "out.xls", detector_files.Wanted("ecod"))
