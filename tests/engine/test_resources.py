"""Memory and processor time against what was really taken."""

import mmap
import time

import paddle

from ppmm.engine import resources
from ppmm.engine.resources import Processor, memory_figures


def test_resident_memory_grows_with_what_is_held():
    before = memory_figures()["memory_mb"]
    with mmap.mmap(-1, 100_000_000) as held:  # malloc may give pages that earlier tests have freed but still hold
        for place in range(0, len(held), mmap.PAGESIZE):
            held[place] = 1
        assert 80 < memory_figures()["memory_mb"] - before < 140


def test_memory_without_proc(monkeypatch):
    class NoProc:
        def __init__(self, path):
            pass

        def read_text(self, encoding):
            raise FileNotFoundError

    monkeypatch.setattr(resources, "Path", NoProc)
    assert memory_figures()["memory_mb"] > 20
    reading = Processor()
    assert "cpu_percent" not in reading.read()


def test_memory_of_a_gpu(monkeypatch):
    monkeypatch.setattr(paddle.device, "is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0")
    monkeypatch.setattr(paddle.device.cuda, "memory_allocated", lambda: 3_000_000)
    monkeypatch.setattr(paddle.device.cuda, "max_memory_allocated", lambda: 4_500_000)
    figures = memory_figures()
    assert (figures["gpu_memory_mb"], figures["gpu_memory_peak_mb"]) == (3.0, 4.5)


def test_processor_time_of_this_process(monkeypatch):
    ticks = iter([(2.0, 100.0), (2.75, 101.0), (2.75, 101.0)])
    monkeypatch.setattr(Processor, "_own", staticmethod(lambda: next(ticks)))
    machine = iter([(10.0, 40.0), (13.0, 44.0), None])
    monkeypatch.setattr(Processor, "_machine", staticmethod(lambda: next(machine)))
    reading = Processor()
    assert reading.read() == {"process_cpu_percent": 75.0, "cpu_percent": 75.0}
    assert reading.read() == {}


def test_the_machine_is_read():
    reading = Processor()
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    found = reading.read()
    assert found["process_cpu_percent"] > 0 and 0 <= found["cpu_percent"] <= 100
