// From a request to the URL of its backend.
//
// WHAT    translate() finds the rule and writes r->filename "proxy:scheme://…"; make_canonical() gives the
//         path the form in which it goes to the backend; take_handler_url() does both for SetHandler.
//         backend_url() reads such a URL again, whoever wrote it; the text that we wrote is not searched for its parts.
// SHAPES  Host and port come from the configuration: what a request adds must be the path, or a host
//         name where a rule's URL has a reference or a variable in that place; else 400. A unix socket
//         is only taken from the configuration. The notes proxy-nocanon, proxy-noencode and
//         proxy-noquery say the same as mod_proxy's.
// ERRORS  httpd statuses; every refusal leaves a log line.
// SOURCE  httpd's modules/proxy/mod_proxy.c gives the same answers; CVE-2011-3368, CVE-2021-40438,
//         CVE-2023-25690, CVE-2024-38477, CVE-2024-43204.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/resolved_vhost.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

enum class PathForm : std::uint8_t { Encoded, Decoded };

// kDeclined: not ours. For PathForm::Encoded a match answers kDone, which keeps the path as it is.
int translate(request_rec* r, PathForm form);

int make_canonical(request_rec* r);

// SetHandler "proxy:URL" or "cxxproxy:URL": the file's path is appended, as mod_proxy does.
int take_handler_url(request_rec* r);

// "unix:/socket|scheme://authority/rest" whole and in its parts, views into one text.
struct BackendUrl {
  std::string_view whole;
  std::string_view socket;
  std::string_view origin;  // scheme://authority
  std::string_view rest;
};
BackendUrl split_backend_url(std::string_view url) noexcept;

// The backend URL of a request that is ours to serve, empty for any other; it ends where r->filename does.
BackendUrl backend_url(const request_rec* r) noexcept;

// Whom the backend URL of a request leads to: what the rule chose, or what the URL names where somebody else wrote it.
config::Target target_of(const request_rec* r, const BackendUrl& url);

// Does "unix:" occur in what the client sent? Then a socket that only a rewriting rule names may be the
// client's choice.
bool request_mentions_socket(request_rec* r);

// `text` with ${NAME} filled from the environment of the request.
std::string filled_with_variables(const request_rec* r, std::string_view text);

// One log line with the reason, and the status back.
int refuse(request_rec* r, int status, const char* why);

}  // namespace cxxproxy::httpd
