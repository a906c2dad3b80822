"""Plots of measured figures as SVG, without any library."""
from html import escape

from proxies import PROXIES

COLOURS = {"mod_proxy": "#9aa0a6", "mod_proxy-64k": "#c4c8cc", "nginx": "#4a9d5b", "haproxy": "#5b8bd0", "cxxproxy": "#d0632b", "cxxproxy-worker": "#e6a27f",
           "direct": "#444444"}
PEERS = ("mod_proxy", "nginx", "haproxy", "cxxproxy")
WIDTH, LEFT, BAR, GAP = 760, 250, 13, 16

# file name: (title, [(scenario, figure, words)])
PLOTS = {
    "rate": ("Rate against mod_proxy (more is better)",
             [("small-get", "rate", "small GET"), ("headers", "rate", "30 + 20 fields"), ("balancer-4", "rate", "balancer of 4"), ("tls", "rate", "TLS client side"),
              ("new-connection", "rate", "new connections"), ("body-100k", "mbps", "100 KB body"), ("body-10m", "mbps", "10 MB body"), ("post-1m", "rate", "POST 1 MB")]),
    "cpu": ("CPU per request against mod_proxy (less is better)",
            [("small-get", "cpu_us", "small GET"), ("headers", "cpu_us", "30 + 20 fields"), ("balancer-4", "cpu_us", "balancer of 4"), ("tls", "cpu_us", "TLS client side"),
             ("new-connection", "cpu_us", "new connections"), ("body-100k", "cpu_us", "100 KB body"), ("body-10m", "cpu_us", "10 MB body"), ("post-1m", "cpu_us", "POST 1 MB")]),
}


def bars(title, groups):
    """`groups` are (words, [(proxy, value)]): horizontal bars, one group under the other."""
    most = max(value for _, values in groups for _, value in values)
    scale = (WIDTH - LEFT - 70) / most
    y, body = 64, []
    for words, values in groups:
        body.append(f'<text x="{LEFT - 10}" y="{y + BAR * len(values) / 2 + 4:.0f}" text-anchor="end">{escape(words)}</text>')
        for proxy, value in values:
            body.append(f'<rect x="{LEFT}" y="{y}" width="{value * scale:.1f}" height="{BAR - 2}" fill="{COLOURS[proxy]}"/>'
                        f'<text x="{LEFT + value * scale + 5:.1f}" y="{y + BAR - 3}" font-size="10">{value:.2f}</text>')
            y += BAR
        y += GAP
    one = LEFT + scale
    legend, x = [], LEFT
    for proxy in dict.fromkeys(proxy for _, values in groups for proxy, _ in values):
        legend.append(f'<rect x="{x}" y="36" width="11" height="11" fill="{COLOURS[proxy]}"/><text x="{x + 16}" y="46">{escape(PROXIES[proxy].title)}</text>')
        x += 36 + 7 * len(PROXIES[proxy].title)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="12">\n'
            f'<rect width="{WIDTH}" height="{y}" fill="white"/>\n<text x="14" y="22" font-size="15">{escape(title)}</text>\n'
            f'<line x1="{one:.1f}" y1="56" x2="{one:.1f}" y2="{y - GAP}" stroke="#9aa0a6" stroke-dasharray="3 3"/>\n' + "\n".join(legend + body) + "\n</svg>\n")


def ratio(document, proxy, key):
    return 1.0 if proxy == "mod_proxy" else document["summary"].get(proxy, {}).get(key, {}).get("ratio")


def pictures(documents):
    found = {}
    for name, (title, wanted) in PLOTS.items():
        groups = []
        for scenario, key, words in wanted:
            if "mod_proxy" not in documents.get(scenario, {}).get("summary", {}):
                continue
            values = [(proxy, value) for proxy in PEERS if (value := ratio(documents[scenario], proxy, key)) is not None]
            if len(values) > 1:
                groups.append((words, values))
        if groups:
            found[name] = bars(title, groups)
    return found
