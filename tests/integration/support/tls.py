"""A virtual host with TLS, for the configuration of a server that is made with tls=True."""


def tls_host(*lines):
    """`lines` are what it does besides; it may hold {…} like every configuration."""
    inside = ["SSLEngine On", "SSLCertificateFile {cert}", "SSLCertificateKeyFile {key}", *lines]
    return "\n<VirtualHost *:{tls_port}>\n" + "".join(f"    {line}\n" for line in inside) + "</VirtualHost>\n"
