"""A copied tree of artifacts is what the old one is, however often it is copied and whatever was left there before."""

from pathlib import Path

from tracking.mlflow.copy.files import Tree, copy_tree


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def tree(folder: Path) -> Tree:
    folder.mkdir(exist_ok=True)
    return Tree(folder.as_uri(), f"sqlite:///{folder.parent}/mlflow.db")


def test_folders_arrive_and_what_the_old_tree_has_not_goes(tmp_path: Path) -> None:
    old, new = tree(tmp_path / "old"), tree(tmp_path / "new")
    (tmp_path / "old" / "policy" / "deep").mkdir(parents=True)
    (tmp_path / "old" / "report.md").write_text("figures")
    (tmp_path / "old" / "policy" / "deep" / "weights").write_text("numbers")
    (tmp_path / "new" / "of_an_interrupted_copy").write_text("half")
    for _ in range(2):
        copy_tree(old, new)
        assert contents(tmp_path / "new") == contents(tmp_path / "old")
    (tmp_path / "old" / "report.md").write_text("later figures")
    copy_tree(old, new)
    assert contents(tmp_path / "new") == {"report.md": "later figures", "policy/deep/weights": "numbers"}


def test_a_file_may_be_changed_on_its_way_and_the_old_one_stays(tmp_path: Path) -> None:
    old, new = tree(tmp_path / "old"), tree(tmp_path / "new")
    (tmp_path / "old" / "MLmodel").write_text("model: m-1")
    copy_tree(old, new, change=lambda file: file.write_text(file.read_text().replace("m-1", "m-2")) and None)
    assert contents(tmp_path / "new") == {"MLmodel": "model: m-2"}
    assert contents(tmp_path / "old") == {"MLmodel": "model: m-1"}
