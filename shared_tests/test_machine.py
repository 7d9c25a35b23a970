"""The machine of a run is named: processor, cores, sets, settings."""

import pytest

from shared_tests import machine, parity

ENVIRONMENTS = ("tools",)

INTEL = """processor : 0
model name\t: Some Processor 9
flags\t\t: fpu avx2 sse4_2 amx_bf16 avx512f vmx
"""
ARM = "processor : 0\nFeatures\t: fp asimd bf16 crc32\n"


@pytest.fixture
def info(tmp_path, monkeypatch):
    """info(text): what /proc/cpuinfo says; nothing else is set."""
    for name in machine.settings():
        monkeypatch.delenv(name)
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "CPU", path)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 5})
    machine.processor.cache_clear()
    yield path.write_text
    machine.processor.cache_clear()


def test_an_intel_processor(info, monkeypatch):
    info(INTEL)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    monkeypatch.setenv("ATENTION", "no library reads this")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "Terraform's")
    found = machine.machine()
    assert found["processor"] == "Some Processor 9"
    assert found["cores"] == 2
    sets = ["amx_bf16", "avx2", "avx512f", "sse4_2"]
    assert found["instructions"] == sets
    assert found["settings"] == {"ATEN_CPU_CAPABILITY": "avx2"}
    shown = machine.sentence(found)
    assert "Some Processor 9" in shown and "2 cores" in shown
    assert shown.endswith(f"{' '.join(sets)}; ATEN_CPU_CAPABILITY=avx2")


def test_an_arm_processor(info):
    info(ARM)
    assert machine.machine()["instructions"] == ["asimd", "bf16"]
    assert "no library settings" in machine.sentence(machine.machine())


def test_no_cpuinfo(info):
    shown = machine.sentence(machine.machine())
    assert "unknown instruction sets" in shown


def test_a_limit_is_told_to_the_libraries(info, monkeypatch):
    for name in machine.ISAS["avx2"]:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=here")
    machine.limit("avx2")
    given = machine.settings()
    assert given["ATEN_CPU_CAPABILITY"] == "avx2"
    assert given["OPENBLAS_CORETYPE"] == "Haswell"
    flags = "--xla_dump_to=here --xla_cpu_max_isa=AVX2"
    assert given["XLA_FLAGS"] == flags


def test_an_unknown_limit(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["parity", "--isa", "avx9"])
    with pytest.raises(SystemExit) as ended:
        parity.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "avx9" in said and "avx2" in said and "sse4" in said
