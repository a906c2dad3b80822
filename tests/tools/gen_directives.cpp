// Writes docs/directives.md to standard output, from the rows that the module itself reads.
#include <cstdio>
#include <string>
#include <string_view>

#include "config/directive_rows.h"
#include "config/neighbour_rows.h"
#include "config/parameter_rows.h"

namespace {

using namespace cxxproxy::config;

void print(const std::string& text) { std::fputs(text.c_str(), stdout); }

// A cell of a table: | would end it.
std::string cell(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string code(std::string_view text) { return "`" + cell(text) + "`"; }

std::string sentence(std::string text) {
  if (text[0] >= 'a' && text[0] <= 'z' && text.compare(0, 9, "mod_proxy") != 0) text[0] = static_cast<char>(text[0] - 32);
  return text + '.';
}

std::string scopes(unsigned contexts) {
  if (contexts == kAnywhere) return "server config, virtual host, `<Location>`, `<Proxy>`";
  return contexts == kInServer ? "server config, virtual host" : "`<Location>`, `<Proxy>`";
}

std::string scopes(const DirectiveRow& row) {
  switch (row.id) {
    case DirectiveId::ProxyPass:
    case DirectiveId::ProxyPassMatch:
    case DirectiveId::ProxyPassReverse:
      return "server config, virtual host, `<Location>`";
    case DirectiveId::BalancerMember:
    case DirectiveId::ProxySet:
      return "server config, virtual host, `<Proxy>`";
    default:
      return scopes(row.contexts);
  }
}

std::string shown(const DirectiveRow& row, const char* name) {
  const std::string line = std::string(name) + ' ' + row.syntax;
  const bool is_section = row.id == DirectiveId::ProxySection || row.id == DirectiveId::ProxyMatchSection;
  return is_section ? line + " ... </" + (name + 1) + '>' : line;
}

void print_introduction() {
  print(
      "# Directives and parameters\n\n"
      "<!-- Written by tests/tools/gen_directives.cpp from src/config; `make docs` writes it again. -->\n\n"
      "Every directive has two names with the same meaning: the standard one of mod_proxy, and the same with `Cxx`\n"
      "in front. The standard names belong to mod_proxy while it is loaded; the `Cxx` names are always ours. Both may\n"
      "be mixed, they work on the same rules, balancers and members.\n\n"
      "A wrong value stops configtest with the directive, the text and what is allowed. So does a directive or\n"
      "parameter of the mod_proxy family that this version does not support yet (listed at the end), and for a\n"
      "misspelt name the nearest known one is offered.\n\n");
}

void print_supported_directives() {
  print("## Directives\n\n");
  for (const auto& row : kDirectiveRows) {
    if (!row.is_supported()) continue;
    const std::string name = row.standard_name[0] == '<' ? std::string(row.standard_name) + '>' : row.standard_name;
    print("### " + (name[0] == '<' ? "`" + name + "`" : name) + "\n\n```apache\n" + shown(row, row.standard_name) + "\n" +
          shown(row, row.own_name) + "\n```\n\n" + sentence(row.help) + "\n\n");
    print("- Scope: " + scopes(row) + "\n");
    print(std::string("- Default: ") + (row.default_text[0] == '\0' ? "none" : code(row.default_text)) + "\n");
    if (row.id == DirectiveId::ProxyTimeout) print("- Value: " + allowed_values(parameter_row(ParameterId::Timeout)) + "\n");
    print("\n");
  }
}

const char* title(Place place) {
  switch (place) {
    case Place::Member:
      return "Parameters of a backend\n\nOn `ProxyPass` to a URL, `BalancerMember`, and `ProxySet` or `<Proxy>` of a URL.";
    case Place::Balancer:
      return "Parameters of a balancer\n\nOn `ProxyPass` to `balancer://name`, and `ProxySet` or `<Proxy>` of it.";
    case Place::Rule:
      return "Words about a rule\n\nOn `ProxyPass` and `ProxyPassMatch`, to a backend as well as to a balancer.";
  }
  return "";
}

void print_parameters(Place place) {
  print(std::string("## ") + title(place) + "\n\n| name | values | default | meaning |\n|---|---|---|---|\n");
  for (const auto& row : parameter_rows()) {
    if (row.place != place || !row.is_supported()) continue;
    print("| " + code(row.name) + " | " + cell(allowed_values(row)) + " | " + cell(row.default_text) + " | " + cell(row.help) + " |\n");
  }
  print("\n");
}

void print_rules() {
  print(
      "## How it is put together\n\n"
      "- The first rule in file order that matches a path decides; `/seg` matches `/seg` and `/seg/x`, not `/segment`;\n"
      "  runs of slashes count as one. What follows the matched part is appended to the URL as it is.\n"
      "- An expression is searched anywhere in the decoded path; `$` is the real end of it. `$0` to `$9` in the URL are its\n"
      "  groups. A URL with `$1` keeps no connections unless `enablereuse=On` says so, and never when a part of its host or\n"
      "  port is filled. What a request fills is the path, or letters of a host where the rule has a reference there.\n"
      "- Rules with `mapping=` come before all others, and before RewriteRule and Alias.\n"
      "- The rule of a `<Location>` comes before the rules of the server; the main server's rules come before those of\n"
      "  a virtual host. `ProxyPass /path !` keeps a path here.\n"
      "- A virtual host sees its own balancers and backends and the main server's, never another virtual host's.\n"
      "- A backend is `http://host:port/path`, or `unix:/path/of/socket|http://name/path`: a socket path that does not begin\n"
      "  with `/` lies below DefaultRuntimeDir, and the name is what the backend sees as Host.\n"
      "- One URL is one backend: a second `ProxyPass` to it uses it, and its parameters have no effect (configtest\n"
      "  warns). `ProxySet` changes a backend or balancer wherever it stands in the file; the later value wins.\n"
      "- `BalancerMember` of a URL that the balancer has already changes that member.\n"
      "- Durations: a plain number is seconds; units `ms`, `s`, `min`, `h` may be written everywhere.\n"
      "- `status`: a backend outside a balancer starts with `+I`, since nobody could take over from it.\n\n");
}

void print_not_yet() {
  print("## Known, not supported yet\n\nconfigtest refuses these with `... is not supported yet by mod_cxxproxy`.\n\n| directive | what it is about |\n|---|---|\n");
  for (const auto& row : kDirectiveRows) {
    if (!row.is_supported()) print("| " + code(row.standard_name) + " | " + cell(row.help) + " |\n");
  }
  print("\n| parameter | of | what it is about |\n|---|---|---|\n");
  for (const auto& row : parameter_rows()) {
    if (row.is_supported()) continue;
    const char* owner = row.place == Place::Member ? "backend" : row.place == Place::Balancer ? "balancer" : "ProxyPass";
    print("| " + code(row.name) + " | " + owner + " | " + cell(row.help) + " |\n");
  }
  print("\nDirectives of other modules, which configtest names when they are not loaded:\n\n| directive | |\n|---|---|\n");
  for (const auto& row : kNeighbourRows) print("| " + code(row.name) + " | " + cell(row.advice) + " |\n");
}

}  // namespace

int main() {
  print_introduction();
  print_supported_directives();
  print_parameters(Place::Member);
  print_parameters(Place::Balancer);
  print_parameters(Place::Rule);
  print_rules();
  print_not_yet();
  return std::ferror(stdout) != 0 ? 1 : 0;
}
