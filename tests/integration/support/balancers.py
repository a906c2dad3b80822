"""What tests of balancers share: a pool of members, and its numbers from the status page."""
from .client import fetch

STATUS = """
{P}ProxyStatus On
<Location /server-status>
    SetHandler server-status
</Location>
{P}ProxyPass /server-status !
"""


def pool(*members, balancer="", name="pool"):
    """Configuration of balancer://NAME for everything; `balancer` is its ProxySet line."""
    lines = [f"    {{P}}BalancerMember {m}" for m in members]
    if balancer:
        lines.append(f"    {{P}}ProxySet {balancer}")
    return "\n".join([f"<{{P}}Proxy balancer://{name}>", *lines, "</{P}Proxy>",
                      f"{{P}}ProxyPass / balancer://{name}/", ""])


def order(server, count, target="/", **options):
    """The names of the echo backends that answered `count` requests, one after the other."""
    return "".join(fetch(server.port, target, **options).fields.get("X-Backend", "-") for _ in range(count))


def numbers(server):
    """A dictionary per member, from server-status?auto: Elected, Busy, Status ..."""
    members = {}
    for line in fetch(server.port, "/server-status?auto").text.splitlines():
        name, _, value = line.partition(": ")
        if not name.startswith("ProxyBalancer[0]Worker["):
            continue
        place, _, what = name[len("ProxyBalancer[0]Worker["):].partition("]")
        members.setdefault(int(place), {})[what] = int(value) if value.isdigit() else value
    return [members[place] for place in sorted(members)]
