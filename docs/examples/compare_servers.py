"""What a server adds to a model of 2 ms: python docs/examples/compare_servers.py kserve|mlserver|bentoml|litserve.

Run it with the Python of an environment that has that server (pip install NAME 'numpy<2'); one process each, REST with
JSON, the client in this process. Prints p50 and p99 of one client, and requests/s of eight.
"""

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PORT = 9101
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 64], "datatype": "FP32", "data": [0.5] * 64}]})
SERVERS = {
    "kserve": """
import asyncio
from kserve import InferOutput, InferResponse, Model, ModelServer
class Echo(Model):
    def __init__(self):
        super().__init__("m")
        self.ready = True
    async def predict(self, request, headers=None, response_headers=None):
        await asyncio.sleep(0.002)
        given = request.inputs[0]
        output = InferOutput("y", list(given.shape), given.datatype)
        output.set_data_from_numpy(given.as_numpy(), binary_data=False)
        return InferResponse("1", "m", [output])
ModelServer(http_port=9101, grpc_port=9102, workers=1).start([Echo()])
""",
    "mlserver": """
import asyncio
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
class Echo(MLModel):
    async def load(self):
        return True
    async def predict(self, request):
        await asyncio.sleep(0.002)
        output = NumpyCodec.encode_output("y", NumpyCodec.decode_input(request.inputs[0]))
        return InferenceResponse(model_name="m", outputs=[output])
async def main():
    ports = {"http_port": 9101, "grpc_port": 9102, "metrics_port": 9103, "host": "127.0.0.1"}
    server = MLServer(Settings(parallel_workers=0, debug=False, **ports))
    await server.start([ModelSettings(name="m", implementation=Echo)])
asyncio.run(main())
""",
    "bentoml": """
import asyncio
import bentoml
@bentoml.service(traffic={"timeout": 10})
class Echo:
    @bentoml.api(route="/v2/models/m/infer")
    async def infer(self, inputs: list) -> dict:
        await asyncio.sleep(0.002)
        return {"outputs": inputs}
""",
    "litserve": """
import time
import litserve
class Echo(litserve.LitAPI):
    def setup(self, device):
        pass
    def decode_request(self, request):
        return request["inputs"][0]["data"]
    def predict(self, x):
        time.sleep(0.002)
        return x
    def encode_response(self, output):
        return {"outputs": [{"name": "y", "data": output}]}
if __name__ == "__main__":
    api = Echo(api_path="/v2/models/m/infer")
    litserve.LitServer(api).run(port=9101, host="127.0.0.1", generate_client_file=False, num_api_servers=1)
""",
}


def ask(count: int, times: list[float]) -> None:
    """Send requests over one connection; milliseconds of each."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    for _ in range(count):
        began = time.perf_counter()
        connection.request("POST", "/v2/models/m/infer", BODY, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}")
        times.append(1e3 * (time.perf_counter() - began))


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in SERVERS:
        sys.exit(__doc__)
    name = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "service.py"
        script.write_text(SERVERS[name])
        command = [sys.executable, str(script)]
        if name == "bentoml":
            command = [sys.executable, "-m", "bentoml", "serve", "service:Echo", "-p", str(PORT), "--host", "127.0.0.1"]
        with (Path(folder) / "log").open("w") as log:
            server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            measure(name)
        finally:
            server.terminate()
            server.wait()


def measure(name: str) -> None:
    """Wait for the server, warm it up, print its figures."""
    for _ in range(200):
        try:
            ask(20, [])
            break
        except (OSError, RuntimeError, http.client.HTTPException):
            time.sleep(0.3)
    one: list[float] = []
    ask(400, one)
    many: list[list[float]] = [[] for _ in range(8)]
    threads = [threading.Thread(target=ask, args=(200, each)) for each in many]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(map(len, many)) / (time.perf_counter() - began)
    print(f"{name}: p50 {statistics.median(one):.2f} ms, p99 {sorted(one)[395]:.2f} ms; eight clients {rate:.0f}/s")


if __name__ == "__main__":
    main()
