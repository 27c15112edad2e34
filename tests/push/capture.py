"""Runs a real attempt of pods that push to Prometheus' OTLP receiver, counts its requests, and keeps Prometheus' answers.

    capture.py PROMETHEUS FIXTURE.json     (see README.md)

Two stable pods and one canary of the rollout `shop` in `fintech`; a rollout `cart` there and a `shop` in `payments` whose
revision is the canary's and where every request fails. The canary has no request for a while, then some, then its process
is killed and begins anew. The environment of each is what the operator writes into a pod.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
STABLE, CANARY = "aaaaaaaaaa", "bbbbbbbbbb"
INTERVAL = 5.0
PORT = 19390
# What the fixture keeps, of all pods and namespaces.
KEPT = '{__name__=~"gen_ai_client_.*_(count|bucket|sum)|http_server_request_duration_.*|target_info",le=~"|2.5|2.56"}[15m]'
CONFIG = """
otlp:
  promote_resource_attributes: [service.version, k8s.namespace.name, k8s.pod.name]
"""
PODS = {
    # pod: (namespace, revision)
    "shop-aaaaaaaaaa-7d9f-x1": ("fintech", STABLE),
    "shop-aaaaaaaaaa-7d9f-x2": ("fintech", STABLE),
    "shop-bbbbbbbbbb-5c4d-y1": ("fintech", CANARY),
    "cart-bbbbbbbbbb-6f5e-z1": ("fintech", CANARY),
    "shop-bbbbbbbbbb-5c4d-p1": ("payments", CANARY),
}
X1, X2, Y1, CART, PAYMENTS = PODS


def url(path: str) -> str:
    return f"http://127.0.0.1:{PORT}{path}"


def get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return answer.read()


def until(holds, seconds: float = 60) -> None:
    end = time.time() + seconds
    while time.time() < end:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit("it took too long")


class Pod:
    """A process with the environment that the operator gives it."""

    def __init__(self, name: str, port: int) -> None:
        self.name, self.port = name, port
        self.namespace, self.revision = PODS[name]
        self.begin()

    def begin(self) -> None:
        attributes = [
            f"service.version={self.revision}",
            f"k8s.namespace.name={self.namespace}",
            f"k8s.pod.name={self.name}",
        ]
        env = os.environ | {
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES": ",".join(attributes),
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": url("/api/v1/otlp/v1/metrics"),
            "OTEL_METRIC_EXPORT_INTERVAL": str(int(INTERVAL * 1000)),
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }
        self.started = time.time()
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(self.port), "--log-level", "error"]
        self.process = subprocess.Popen(command, cwd=HERE, env=env, start_new_session=True)
        # By its socket: a request would be the first thing that it counts.
        until(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None)

    def ask(self, times: int, what: str = "") -> None:
        for _ in range(times):
            try:
                get(f"http://127.0.0.1:{self.port}/ask?{what}")
            except urllib.error.HTTPError as error:
                assert error.code == 502, error


def main(prometheus: str, fixture: str) -> None:
    folder = Path(tempfile.mkdtemp())
    (folder / "prometheus.yml").write_text(CONFIG)
    command = [
        prometheus,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{PORT}",
        "--web.enable-otlp-receiver",
    ]
    log = (folder / "prometheus.log").open("w")
    server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    pods: dict[str, Pod] = {}
    counted = {"stable": {"bad": 0, "total": 0}, "canary": {"bad": 0, "slow": 0, "total": 0}}

    def stable(good: int, bad: int = 0) -> None:
        pods[X1].ask(good)
        pods[X2].ask(good)
        pods[X2].ask(bad, "fail=1")
        counted["stable"]["bad"] += bad
        counted["stable"]["total"] += 2 * good + bad

    def canary(good: int, bad: int = 0, slow: int = 0) -> None:
        pods[Y1].ask(good)
        pods[Y1].ask(bad, "fail=1")
        pods[Y1].ask(slow, "slow=1")
        counted["canary"]["bad"] += bad
        counted["canary"]["slow"] += slow
        counted["canary"]["total"] += good + bad + slow
        for other in [CART, PAYMENTS]:
            pods[other].ask(7, "fail=1")

    try:
        until(lambda: get(url("/-/ready")))
        for place, name in enumerate([X1, X2]):
            pods[name] = Pod(name, PORT + 1 + place)
        # What stable did before: two requests in two seconds, a failed one each twenty seconds.
        for turn in range(105):
            begun = time.time()
            stable(1, 1 if turn % 10 == 5 else 0)
            time.sleep(max(0.0, begun + 2 - time.time()))
        for place, name in enumerate([Y1, CART, PAYMENTS]):
            pods[name] = Pod(name, PORT + 11 + place)
        time.sleep(2 * INTERVAL)
        attempt = time.time()
        for side in counted.values():
            side.update(dict.fromkeys(side, 0))
        stable(6)
        time.sleep(2 * INTERVAL)
        raised = time.time()
        time.sleep(1.5)
        canary(5, 2, 1)
        stable(8, 1)
        time.sleep(2 * INTERVAL)
        canary(9)
        stable(4)
        # Everything is pushed before the process dies.
        time.sleep(2 * INTERVAL)
        pods[Y1].process.kill()
        pods[Y1].process.wait()
        first = pods[Y1].started
        pods[Y1].begin()
        canary(3, 4)
        stable(5)
        time.sleep(2 * INTERVAL)
        now = time.time()
        arguments = urllib.parse.urlencode({"query": KEPT, "time": f"{now:.3f}"})
        answer = json.loads(get(url(f"/api/v1/query?{arguments}")))
        moments = {"canary_started": first, "attempt": attempt, "raised": raised, "now": now}
        capture = {name: round(at, 3) for name, at in moments.items()} | {"counted": counted}
        Path(fixture).write_text(json.dumps({"capture": capture} | answer, separators=(",", ":")) + "\n")
        print(json.dumps(capture))
    finally:
        for pod in pods.values():
            pod.process.kill()
        if hold := os.environ.get("HOLD"):
            time.sleep(float(hold))
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
