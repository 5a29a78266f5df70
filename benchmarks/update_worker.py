"""Updates of whichever version of this project is on the path: a turn for each line that comes in; see against.py.

python -P benchmarks/update_worker.py <method> <num_seeds> <environment> <updates a turn> <rows of replay> <folder>
"""

import sys
import time

try:
    from untrained import make_experiment  # of that version
except ImportError:
    from experiments import make_experiment  # its name in earlier versions


def main():
    method, num_seeds, env_name, updates, rows, folder = sys.argv[1:]
    num_seeds, updates, rows = int(num_seeds), int(updates), int(rows)
    flags = {"update_every": updates, "start_timesteps": rows, "max_timesteps": rows, "device": "cpu", "threads": 1}
    experiment = make_experiment(method, env_name, num_seeds, folder, **flags)
    update = getattr(experiment, "update", None) or experiment._update  # its name in earlier versions
    experiment.start()
    experiment.collector.collect(experiment.agent.act, rows)
    update(updates)  # untimed
    print(0.0, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        update(updates)
        print(num_seeds * updates / (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
