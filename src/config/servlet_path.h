// mapping=servlet: a rule's path against a request path as a servlet container understands it.
//
// WHAT    The request path is cut into segments; what follows a ';' in a segment is its parameter and
//         no part of its name; "." and ".." count after that, so "/a/..;x/b" is "/b". The names of the
//         first segments must be the rule's.
// SHAPES  Works on the path as it came, still encoded. `matched` counts characters of it: what follows
//         them is passed to the backend as it is, parameters of the rule's last segment included.
//         `clean` is the path without parameters, which access control should see.
// ERRORS  matched is 0 when the rule does not match, or when the path leads above the root.
// SOURCE  httpd's manual on mapping=servlet; Tomcat's normalisation.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cxxproxy::config {

struct ServletMatch {
  std::size_t matched = 0;
  std::string clean;
};

ServletMatch servlet_match(std::string_view rule, std::string_view path);

}  // namespace cxxproxy::config
