"""The two vhosts of the README, word for word, with the ports of this run."""
import re

import pytest

from support.client import Client, fetch
from support.httpd import WELCOME
from support.load import Load
from support.waiting import until

PLAIN = """
<VirtualHost *:80>
    ProxyPreserveHost On
    ProxyPass / http://127.0.0.1:8080/
    ProxyPassReverse / http://127.0.0.1:8080/
</VirtualHost>
"""

BALANCED = """
<VirtualHost *:80>
<Proxy balancer://mycluster>
    BalancerMember http://127.0.0.1:8080
    BalancerMember http://127.0.0.1:8081
</Proxy>
    ProxyPreserveHost On
    ProxyPass / balancer://mycluster/
    ProxyPassReverse / balancer://mycluster/
</VirtualHost>
"""


def with_ports(vhost, backends):
    """The words of the tutorial; only ports are exchanged, and the family's prefix is put in."""
    vhost = vhost.replace("*:80>", "*:{port}>")
    for tutorial, backend in zip((8080, 8081), backends):
        vhost = vhost.replace(f":{tutorial}", f":{backend.port}")
    vhost = re.sub(r"\b(Proxy(?=[A-Z ])|BalancerMember)", r"{P}\1", vhost)
    return vhost.replace("</Proxy>", "</{P}Proxy>")


@pytest.fixture(scope="module")
def flasks(house):
    return house.flask("Hello world!"), house.flask("Howdy world!")


def test_without_vhost_the_server_shows_its_own_page(make):
    server = make.httpd("")
    assert fetch(server.port).text == WELCOME


def test_first_vhost_shows_the_backend_instead_of_the_welcome_page(make, flasks, family):
    server = make.httpd(with_ports(PLAIN, flasks), family=family)
    answer = fetch(server.port)
    assert (answer.status, answer.text) == (200, "Hello world!")


def test_first_vhost_hands_the_clients_host_to_the_backend(make, flasks, family):
    server = make.httpd(with_ports(PLAIN, flasks), family=family)
    assert fetch(server.port, "/host", host="www.example.org").text == "www.example.org"


def test_first_vhost_redirects_name_the_proxy(make, flasks, family):
    server = make.httpd(with_ports(PLAIN, flasks).replace("{P}ProxyPreserveHost On", ""),
                        family=family)
    answer = fetch(server.port, "/go", host=f"proxy.test:{server.port}")
    assert answer.status == 302
    assert answer.fields.get("Location") == f"http://proxy.test:{server.port}/there"
    assert fetch(server.port, "/there").text == "you are there"


def test_first_vhost_takes_a_form(make, flasks, family):
    server = make.httpd(with_ports(PLAIN, flasks), family=family)
    answer = fetch(server.port, "/form", "POST",
                   [("Content-Type", "application/x-www-form-urlencoded")], b"a=1&b=two")
    assert answer.json() == {"got": {"a": "1", "b": "two"}, "length": 9}


@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
def test_second_vhost_alternates_strictly(make, flasks, family, mpm):
    server = make.httpd(with_ports(BALANCED, flasks), family=family, mpm=mpm, processes=4)
    texts = [fetch(server.port).text for _ in range(10)]
    assert texts == ["Hello world!", "Howdy world!"] * 5


def test_second_vhost_alternates_on_one_client_connection(make, flasks, family):
    server = make.httpd(with_ports(BALANCED, flasks), family=family, processes=4)
    with Client(server.port) as client:
        texts = [client.ask().text for _ in range(10)]
    assert texts == ["Hello world!", "Howdy world!"] * 5


@pytest.mark.own
def test_second_vhost_alternates_over_four_processes(make, flasks, family):
    """One request at a time, each answered by whichever process accepts: the order is global."""
    server = make.httpd(with_ports(BALANCED, flasks), family=family, processes=4, threads=8)
    with Load(server.port, clients=16, keep_alive=False) as load:  # a kept connection stays with its process
        load.wait_done(400)
        until(lambda: len({line["pid"] for line in server.access()}) > 1, "more than one process has answered")
    assert load.failures == []
    count = {text: load.bodies.count(text) for text in set(load.bodies)}
    assert abs(count[b"Hello world!"] - count[b"Howdy world!"]) <= 1, count


def test_second_vhost_redirects_name_the_proxy(make, flasks, family):
    vhost = with_ports(BALANCED, flasks).replace("{P}ProxyPreserveHost On", "")
    server = make.httpd(vhost, family=family)
    for _ in range(4):
        answer = fetch(server.port, "/go", host=f"proxy.test:{server.port}")
        assert answer.fields.get("Location") == f"http://proxy.test:{server.port}/there"


def test_configtest_says_syntax_ok_and_needs_no_backend(make, family):
    class Nobody:
        port = 9
    for vhost in (PLAIN, BALANCED):
        server = make.httpd(with_ports(vhost, (Nobody, Nobody)), family=family, start=False)
        status, text = server.configtest()
        assert status == 0 and text.splitlines()[-1] == "Syntax OK", text
