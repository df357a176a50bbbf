"""Networks the kernel makes bad, in a namespace of their own."""

import http.client
import json
import os
import subprocess
import sys
import time

import pytest

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.netem import Namespace, bucket, missing_for_namespaces, missing_for_qdisc, netem
from tests.support.network import Network
from tests.support.pattern import pattern
from tests.support.waiting import eventually
from tests.support.weather import HOTEL, LAN, MOBILE_4G, WIFI, Profile, slower_than

AUDIO = pattern(48_000)
PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def where_namespaces_can_be() -> None:
    if (missing := missing_for_namespaces()) is not None:
        pytest.skip(f"no network namespaces: {missing}")


@pytest.fixture
def where_the_kernel_can(request: pytest.FixtureRequest) -> None:
    if (missing := missing_for_qdisc(*request.param)) is not None:
        pytest.skip(f"no {request.param[0]}: {missing}")


def heard(namespace: Namespace) -> tuple[bytes, float]:
    """What comes through, and how long it takes after the request."""
    with SpeechEndpoint(Behaviour(audio=AUDIO)) as endpoint, Network(endpoint.port, listener=namespace.listen()) as far:
        client = http.client.HTTPConnection(namespace.server_host, far.port, timeout=PATIENCE_S)
        try:
            began_s = time.perf_counter()
            client.request("POST", "/v1/audio/speech", json.dumps({"input": "Hello."}))
            return client.getresponse().read(), time.perf_counter() - began_s
        finally:
            client.close()


def interfaces() -> set[str]:
    return set(os.listdir("/sys/class/net"))


def test_what_is_said_on_the_far_side_is_heard_here_and_nothing_is_left_behind() -> None:
    before = interfaces()
    with Namespace() as namespace:
        assert len(interfaces() - before) >= 1
        assert heard(namespace)[0] == AUDIO
        pid = namespace.pid
    assert not os.path.exists(f"/proc/{pid}")
    assert not any(name.startswith("vm") for name in interfaces() - before)


def test_what_is_on_the_far_side_cannot_be_reached_from_anywhere_else() -> None:
    with Namespace() as namespace, namespace.listen() as listener:
        port = listener.getsockname()[1]
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
        with pytest.raises(ConnectionRefusedError):
            client.connect()


def test_a_process_that_is_killed_leaves_no_interface_behind() -> None:
    program = (
        "import sys\nfrom tests.support.netem import Namespace\n"
        "with Namespace() as namespace:\n print(namespace.client_host, flush=True)\n sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    before = interfaces()
    with subprocess.Popen([sys.executable, "-c", program], text=True, **pipes) as child:  # type: ignore[call-overload]
        assert child.stdout.readline().startswith("198.18.")
        made = {name for name in interfaces() - before if name.startswith("vm")}
        assert made
        child.kill()
    eventually(lambda: not made & interfaces(), 10.0, "the end of the interfaces")


@pytest.mark.usefixtures("where_the_kernel_can")
@pytest.mark.parametrize("where_the_kernel_can", [bucket(LAN)], indirect=True, ids=["tbf"])
def test_the_kernels_own_bucket_gives_the_rate_of_a_profile() -> None:
    slow = slower_than(120_000)
    assert slow.rate_bytes_per_s is not None
    with Namespace(server=bucket(slow)) as namespace:
        audio, took_s = heard(namespace)
    assert audio == AUDIO
    assert (len(AUDIO) - 66_000) / slow.rate_bytes_per_s <= took_s < 10.0


@pytest.mark.usefixtures("where_the_kernel_can")
@pytest.mark.parametrize("where_the_kernel_can", [("netem", "delay", "1ms")], indirect=True, ids=["netem"])
@pytest.mark.parametrize("profile", [LAN, WIFI, MOBILE_4G, HOTEL], ids=lambda profile: profile.name)
def test_every_byte_comes_through_whatever_the_kernel_does_to_it(profile: Profile) -> None:
    client, server = netem(profile)
    with Namespace(client=client, server=server) as namespace:
        audio, took_s = heard(namespace)
    assert audio == AUDIO
    assert took_s >= 1.5 * profile.rtt_s
