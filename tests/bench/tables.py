"""A scenario's figures as a table, for the terminal and for docs/performance.md."""
from proxies import PROXIES

# figure: (heading, digits)
FIGURES = {
    "rate": ("requests/s", 0), "mbps": ("MB/s", 0), "cpu_us": ("CPU us/{unit}", 1), "p50_us": ("p50 us", 0), "p99_us": ("p99 us", 0), "max_us": ("max us", 0),
    "calls": ("calls/{unit}", 2), "switches": ("switches/{unit}", 2), "memory_mib": ("memory MiB", 1), "answered": ("answered", 0), "lost": ("lost", 0),
    "seconds": ("all within s", 2), "threads": ("threads", 0), "held": ("held at once", 0), "up": ("tunnels", 0), "kib_each": ("KiB each", 1),
    "other_rate": ("others' requests/s", 0), "other_p50_us": ("others' p50 us", 0), "other_p99_us": ("others' p99 us", 0),
    "other_max_us": ("others' max us", 0), "other_lost": ("others lost", 0), "echo_p99_us": ("echo p99 us", 0), "events": ("events", 0),
    "delay_p50_us": ("delay p50 us", 0), "delay_p99_us": ("delay p99 us", 0), "deviation": ("worst deviation", 1),
    "cpu_us_large": ("CPU us/request", 1), "ratio": ("ratio", 2), "idle_lost_large": ("idle ones closed by the MPM", 0), "memory_growth_mib": ("memory growth MiB", 1), "descriptor_growth": ("descriptors more", 0),
}
RATIOS = ("rate", "mbps", "cpu_us", "p50_us", "p99_us", "calls", "switches")  # shown against mod_proxy too


def heading(key, document):
    text = FIGURES[key][0].format(unit=document["unit"])
    if document["pair"] and key in ("cpu_us", "cpu_us_large"):
        text += ", " + document["pair"][key == "cpu_us_large"]
    return text


def number(value, digits):
    return f"{value:,.{digits}f}"


def cell(row, key, with_ratio):
    figure = row.get(key)
    if figure is None:
        return "-"
    text = number(figure["median"], FIGURES[key][1])
    return f"{text} ({figure['ratio']:.2f})" if with_ratio and "ratio" in figure else text


def rows(document, titles=False):
    """The head row, then one row for each proxy; the last two columns are the noise and the errors."""
    columns = [key for key in document["columns"] if key in FIGURES]
    yield ["", *(heading(key, document) for key in columns), "spread", "errors"]
    for name, row in document["summary"].items():
        cells = [cell(row, key, key in RATIOS and name not in ("mod_proxy", "direct") and not document["pair"]) for key in columns]
        first = next((row[key] for key in columns if key in row and key not in ("answered", "lost", "memory_mib")), None)
        spread = f"{first['spread'] * 100:.0f} %" if first and len(document["rounds"]) > 1 else "-"
        errors = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in row["errors"].items()) or "0"
        yield [PROXIES[name].title if titles else name, *cells, spread, errors]


def text(document):
    table = list(rows(document))
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))) for row in table)


def markdown(document):
    head, *body = rows(document, titles=True)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body])
