"""What a manifest asks for as tasks: one script each, and which of them must be done before."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.paths import embedding_run, folder_of, policy_run, seed_folder
from experiments.manifest import Manifest
from experiments.task import Task
from experiments.trainings import IMAGE_KINDS, Curve, Embedding, id_of, longest_of, parsed, words_of
from rl.methods import METHODS


def tasks_of(manifest: Manifest, results: str | Path, speeds: Mapping[str, float]) -> list[Task]:
    """All tasks of a manifest, each behind those that it needs.

    Args:
        results: the folder of results.
        speeds: those of benchmarks/speeds.toml, for `Task.hours`: {method: seed-steps a second}, and of stage one {script:
            hours, of the scripts of images an epoch's}.
    """
    results = Path(results).absolute()
    tasks = [_train(embedding, results, speeds) for embedding in manifest.embeddings.values()]
    tasks += [_publish_embedding(e, results) for e in manifest.embeddings.values() if e.published]
    tasks += _runs(manifest.curves, manifest.embeddings, results, speeds)
    tasks += [_publish(curve, results) for curve in manifest.curves]
    tasks += [_final_policies(curve, results) for curve in manifest.curves if curve.final_episodes]
    tasks += [
        _publish_policy(curve, curve.policy_seed, results) for curve in manifest.curves if curve.policy_seed is not None
    ]
    for probe in manifest.probes:
        tasks.append(_probe(probe, manifest.embeddings, results))
    for table in manifest.tables:
        if "runs" in table:
            tasks.append(_table_of_runs(table, manifest.curves, results))
        elif "envs" in table:
            tasks.append(_table_of_environments(table, results))
        else:
            tasks.append(_table(table, manifest.embeddings, results))
    return ordered(tasks)


def ordered(tasks: Sequence[Task]) -> list[Task]:
    """The same tasks, each behind those that it needs; raises `UsageError` if some need each other, or one that is not there
    or twice."""
    names, done, left = {task.name for task in tasks}, set[str](), list(tasks)
    found: list[Task] = []
    if len(names) < len(tasks):
        twice = next(task.name for i, task in enumerate(tasks) if task.name in {other.name for other in tasks[:i]})
        raise UsageError(f"{twice}: two entries of the manifest make it: leave one out")
    for task in tasks:
        if missing := set(task.after) - names:
            raise UsageError(f"{task.name}: it needs {min(missing)}, which nothing makes")
    while left:
        ready = [task for task in left if set(task.after) <= done]
        if not ready:
            raise UsageError(f"{left[0].name}: it needs {left[0].after[0]}, which needs it in turn")
        found += ready
        done |= {task.name for task in ready}
        left = [task for task in left if task.name not in done]
    return found


def needed(tasks: Iterable[Task], wanted: Iterable[Task]) -> list[Task]:
    """The wanted tasks and all that they need, in order."""
    by_name, keep = {task.name: task for task in tasks}, set[str]()
    waiting = [task.name for task in wanted]
    while waiting:
        name = waiting.pop()
        if name not in keep:
            keep.add(name)
            waiting += by_name[name].after
    return [task for task in by_name.values() if task.name in keep]


def check_results(tasks: Iterable[Task]) -> None:
    """Raises `UsageError` for a task whose folder holds results of other flags than the manifest asks for, or policies of more steps."""
    for task in tasks:
        if longer := task.trained_longer():
            raise UsageError(
                f"{task.name}: the manifest asks for policies of {task.policies_of} steps, but {longer[0]} was trained for "
                f"{longer[1]} steps: give the curve as many, or leave its final_episodes and policy_seed out"
            )
        if found := task.difference():
            asked, noted = found
            way = "or ask for that" if task.steps else "and the runs that need it, or give the entry another name"
            raise UsageError(
                f"{task.name}: the manifest asks for {asked}, but {task.folder} was made with {noted}: move it away, {way}"
            )


def undone(tasks: Iterable[Task]) -> list[Task]:
    """The tasks that are not done, and those with a product that need one of them, in order: it may have to be made anew."""
    left = dict[str, Task]()
    for task in tasks:
        if (task.product and not left.keys().isdisjoint(task.after)) or not task.is_done():
            left[task.name] = task
    return list(left.values())


def lacking(tasks: Iterable[Task]) -> list[str]:
    """A line for each task that is not done, and how far it is; seeds of a run that are as far share one."""
    tasks = list(tasks)
    left = undone(tasks)
    done = {task.name for task in tasks} - {task.name for task in left}
    found: dict[tuple[str, str], list[str]] = {}
    for task in left:
        name, _, seed = task.name.partition(" seed ")
        state = "made anew if what it needs changes" if task.is_done() else task.state(done)
        found.setdefault((name, state), []).append(seed)
    return [
        " ".join([name, *(["seed", *seeds] if seeds[0] else [])]) + f": {state}"
        for (name, state), seeds in found.items()
    ]


# ---- the tasks of each kind ----


def _train(embedding: Embedding, results: Path, speeds: Mapping[str, float]) -> Task:
    folder = _embedding_folder(embedding, results)
    flags = {**embedding.all_flags, "results_dir": results, "resume": True}
    target = folder / ("encoder.pt" if embedding.script == "main_vae.py" else "decoder.pt")
    command = (f"embedding/{embedding.script}", *words_of(flags))
    counted = 1 if IMAGE_KINDS[embedding.script] is None else embedding.epochs  # by the whole, or by epochs
    hours = counted * speeds.get(embedding.script, 0.0)
    made_with = parsed(embedding.module, flags)
    return Task(f"embedding {embedding.name}", command, (), folder, target, hours=hours, flags=made_with)


def _publish_embedding(embedding: Embedding, results: Path) -> Task:
    folder = _embedding_folder(embedding, results)
    target = results / "published" / "embeddings" / embedding.published
    command = ("analysis/publish_embedding.py", str(folder), "--out", str(target), "--overwrite")
    after = (f"embedding {embedding.name}",)
    name, mark = f"published embedding {embedding.published}", folder / ".published"
    made_of = folder / "encoder.pt", folder / "decoder.pt"
    return Task(name, command, after, target, mark, product=target, made_of=made_of)


def _runs(
    curves: Sequence[Curve], embeddings: Mapping[str, Embedding], results: Path, speeds: Mapping[str, float]
) -> list[Task]:
    """A task for each seed of each run; curves of the same settings share it, the longest decides."""
    return [_run(curve, seed, embeddings, results, speeds) for (_, seed), curve in longest_of(curves).items()]


def _embedding_folder(embedding: Embedding, results: Path) -> Path:
    return embedding_run(results, id_of(embedding.env), embedding.name, IMAGE_KINDS[embedding.script])


def _run_folder(curve: Curve, results: Path) -> Path:
    return policy_run(results, id_of(curve.env), curve.method, curve.run)


def _trusted(env: str) -> tuple[str, ...]:
    """What tells a script that it may import the module of an environment that is named module:id: the manifest names it."""
    return ("--env", env) if ":" in env else ()


def _run_name(curve: Curve) -> str:
    return f"{curve.env} {curve.method} {curve.run}"


def _run(
    curve: Curve, seed: int, embeddings: Mapping[str, Embedding], results: Path, speeds: Mapping[str, float]
) -> Task:
    flags = {**curve.all_flags(embeddings), "seed": seed, "results_dir": results, "resume": True}
    folder = seed_folder(_run_folder(curve, results), seed)
    after = (f"embedding {curve.embedding}",) if curve.embedding else ()
    hours = curve.steps / speeds[curve.method] / 3600 if curve.method in speeds else 0.0
    name = f"{_run_name(curve)} seed {seed}"
    command, made_with = (f"rl/{METHODS[curve.method].script}", *words_of(flags)), parsed(curve.module, flags)
    return Task(name, command, after, folder, folder / "checkpoint.pt", curve.steps, hours, made_with)


def _publish(curve: Curve, results: Path) -> Task:
    run, out = _run_folder(curve, results), results / curve.file
    flags = {
        "out": out,
        "overwrite": True,
        "seeds": ",".join(map(str, curve.seeds)),
        "until": curve.steps,
    }
    if curve.variant:
        flags["variant"] = curve.variant
    after = tuple(f"{_run_name(curve)} seed {seed}" for seed in curve.seeds)
    name = f"{curve.env} {curve.method} published" if not curve.variant else f"ablation {Path(curve.file).stem}"
    command = ("analysis/publish.py", str(run), *words_of(flags))
    mark = run / f".published-{Path(curve.file).stem}"
    made_of = tuple(seed_folder(run, seed) / "eval.csv" for seed in curve.seeds)
    return Task(name, command, after, out.parent, mark, needs_folder=True, product=out, made_of=made_of)


def _final_policies(curve: Curve, results: Path) -> Task:
    run, after = _run_folder(curve, results), f"{curve.env} {curve.method} published"
    out = results / "final_policies" / f"{folder_of(id_of(curve.env))}_{curve.method}.csv"
    seeds = [seed_folder(run, seed) for seed in curve.seeds]
    flags = {"episodes": curve.final_episodes, "out": out}
    command = ("rl/evaluate.py", *map(str, seeds), *words_of(flags), *_trusted(curve.env))
    name, mark = f"{curve.env} {curve.method} final policies", run / ".final_policies"
    made_of = tuple(seed / "checkpoint.pt" for seed in seeds)
    needs, steps = (after,), curve.steps
    return Task(
        name, command, needs, out.parent, mark, needs_folder=True, product=out, made_of=made_of, policies_of=steps
    )


def _publish_policy(curve: Curve, seed: int, results: Path) -> Task:
    folder = seed_folder(_run_folder(curve, results), seed)
    out = results / "published" / "policies" / folder_of(id_of(curve.env))
    command = ("analysis/publish_policy.py", str(folder), "--out", str(out), "--overwrite")
    after = (f"{_run_name(curve)} seed {seed}",)
    mark, made_of = folder / ".published", (folder / "checkpoint.pt",)
    name, steps = f"{curve.env} policy", curve.steps
    return Task(name, command, after, out, mark, product=out, made_of=made_of, policies_of=steps)


def _probe(probe: Mapping[str, str], embeddings: Mapping[str, Embedding], results: Path) -> Task:
    encoder = embeddings[probe["encoder"]]
    folder = _embedding_folder(encoder, results)
    out = results / "probes" / f"{folder_of(id_of(probe['env']))}.csv"
    flags = {"env": probe["env"], "encoder": probe["encoder"], "vae": probe["vae"], "results_dir": results, "out": out}
    after = (f"embedding {probe['encoder']}", f"embedding {probe['vae']}")
    command, mark = ("embedding/probe.py", *words_of(flags)), folder / ".probe"
    made_of = tuple(_embedding_folder(embeddings[probe[name]], results) / "encoder.pt" for name in ("encoder", "vae"))
    name = f"probe {probe['env']}"
    return Task(name, command, after, out.parent, mark, needs_folder=True, product=out, made_of=made_of)


def _table(table: Mapping[str, Any], embeddings: Mapping[str, Embedding], results: Path) -> Task:
    embedding = embeddings[table["embedding"]]
    folder, out = _embedding_folder(embedding, results), results / "figures" / f"{table['name']}.csv"
    command = (f"analysis/{table['script']}", str(folder), "--out", str(out), *_trusted(embedding.env))
    name, after = f"table {table['name']}", (f"embedding {embedding.name}",)
    mark, made_of = folder / f".{table['name']}", (folder / "encoder.pt", folder / "decoder.pt")
    return Task(name, command, after, out.parent, mark, needs_folder=True, product=out, made_of=made_of)


def _table_of_environments(table: Mapping[str, Any], results: Path) -> Task:
    out = results / "figures" / f"{table['name']}.csv"
    command = (f"analysis/{table['script']}", *table["envs"], "--out", str(out))
    mark = results / "logs" / f".{table['name']}"
    return Task(f"table {table['name']}", command, (), out.parent, mark, needs_folder=True, product=out)


def _table_of_runs(table: Mapping[str, Any], curves: Sequence[Curve], results: Path) -> Task:
    """A table that is made of runs of the manifest, <env> <method> <name> each."""
    folders: list[Path] = []
    after, made_of = [], []
    for name in table["runs"]:
        seeds = {seed for curve in curves if _run_name(curve) == name for seed in curve.seeds}
        after += [f"{name} seed {seed}" for seed in sorted(seeds)] or [f"{name} seed 0"]
        parts = name.split()
        if len(parts) != 3:
            raise UsageError(f"tables: {table['name']}: runs {name!r}: it must be <env> <method> <name>")
        folders.append(policy_run(results, id_of(parts[0]), *parts[1:]))
        made_of += [seed_folder(folders[-1], seed) / "train.csv" for seed in sorted(seeds)]
    out = results / "figures" / f"{table['name']}.csv"
    flags = {"out": out} | ({"until": table["steps"]} if "steps" in table else {})
    command = (f"analysis/{table['script']}", *map(str, folders), *words_of(flags))
    name, mark = f"table {table['name']}", folders[0] / f".{table['name']}"
    needs, of = tuple(after), tuple(made_of)
    return Task(name, command, needs, out.parent, mark, needs_folder=True, product=out, made_of=of)
