"""The pictures of docs/PERFORMANCE.md."""

from omenbench.paths import IMAGES


def _figure(columns: int = 1):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3,
                            "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = pyplot.subplots(1, columns, figsize=(5.2 * columns, 3.8), squeeze=False)
    return figure, axes[0]


def _save(figure, name: str):
    from matplotlib import pyplot

    IMAGES.mkdir(parents=True, exist_ok=True)
    path = IMAGES / f"{name}.png"
    figure.tight_layout()
    # No date or version inside: the same figures make the same file.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return path


def _is_ours(name: str) -> bool:
    return name in ("omendb", "omendb-stream")


def recall_curves(kind: str, rows: dict):
    """Queries per second over recall, one thread and two, of every engine."""
    figure, axes = _figure(2)
    titles = ("qps_1", "one thread"), ("qps_2", "two threads, batch")
    for axis, (key, title) in zip(axes, titles):
        for name, engine in rows["engines"].items():
            points = [point for point in engine["points"] if point["recall"] >= 0.8]
            axis.plot([point["recall"] for point in points], [point[key] for point in points],
                      marker=".", label=engine["title"], linewidth=2.2 if _is_ours(name) else 1.1)
        axis.set_yscale("log")
        axis.set_xlabel("recall@10")
        axis.set_ylabel("queries per second")
        dataset = rows["dataset"]
        axis.set_title(f"{dataset['rows']:,} x {dataset['dim']}, {dataset['metric']}: {title}")
    axes[0].legend(fontsize=7)
    return _save(figure, f"peers-{kind}")


def lines(name: str, panels: list[dict]):
    """One panel per entry: title, x and y labels, and series of (label, xs, ys)."""
    figure, axes = _figure(len(panels))
    for axis, panel in zip(axes, panels):
        for label, xs, ys in panel["series"]:
            axis.plot(xs, ys, marker=".", label=label)
        axis.set_title(panel["title"])
        axis.set_xlabel(panel["x"])
        axis.set_ylabel(panel["y"])
        if panel.get("log"):
            axis.set_yscale("log")
        if panel.get("ticks"):
            axis.set_xscale("log", base=2)
            axis.set_xticks(panel["ticks"], labels=[str(tick) for tick in panel["ticks"]])
            axis.minorticks_off()
        if "low" in panel:
            axis.set_ylim(bottom=panel["low"])
        if len(panel["series"]) > 1:
            axis.legend(fontsize=7)
    return _save(figure, name)


def bars(name: str, panels: list[dict]):
    """Horizontal bars: title, unit, and (label, value) from top to bottom."""
    figure, axes = _figure(len(panels))
    for axis, panel in zip(axes, panels):
        labels = [label for label, _ in panel["values"]][::-1]
        values = [value for _, value in panel["values"]][::-1]
        axis.barh(labels, values)
        axis.set_title(panel["title"])
        axis.set_xlabel(panel["unit"])
    return _save(figure, name)
