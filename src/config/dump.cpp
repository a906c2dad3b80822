#include "config/dump.h"

#include <algorithm>
#include <vector>

#include "base/ascii.h"
#include "config/declare.h"
#include "config/dump_values.h"
#include "config/lint_view.h"
#include "config/value_parsers.h"

namespace cxxproxy::config {
namespace {

constexpr std::size_t kSourceColumn = 70;

void title(std::string& out, std::string_view text) { dump_line(out, 1, text, {}); }

std::string text_of(const ParameterRow& row, const ParameterSet& set) {
  if (row.id == ParameterId::Status) return status_letters(apply_status(0, set.value(ParameterId::Status).value_or(0)));
  if (base::iequals(row.name, "secret") || base::iequals(row.name, "nonce")) return "...";
  return std::string(set.text(row.id));
}

void dump_parameters(std::string& out, unsigned level, const ParameterSet& set, Place place) {
  for (const ParameterRow& row : parameter_rows()) {
    // Kept as enablereuse.
    if (row.place != place || !row.is_supported() || row.id == ParameterId::DisableReuse) continue;
    const auto* said = set.find(row.id);
    const std::string value = said != nullptr ? text_of(row, set) : std::string(row.default_text);
    dump_line(out, level, std::string(row.name) + '=' + value, source_text(said != nullptr, said != nullptr ? said->where : SourceLine{}));
  }
}

void dump_directives(std::string& out, const DumpedServer& server) {
  title(out, "directives");
  for (const DirectiveRow& row : kDirectiveRows) {
    const auto value = effective_value(row, *server.config, *server.scope);
    if (value) dump_line(out, 2, std::string(row.standard_name) + ' ' + value->text, source_text(value->said, value->where));
  }
}

void dump_rules(std::string& out, const std::vector<const Declarations*>& layers) {
  title(out, "rules, in the order in which they are tried");
  unsigned number = 0;
  const auto add = [&](const SaidRoute& rule, bool in_location, bool inherited) {
    const std::string text = std::to_string(++number) + ". " + rule_text(rule, in_location) + (inherited ? " (main server)" : "");
    dump_line(out, 2, text, source_text(true, rule.where));
  };
  // Rules with mapping= see a request before all others.
  for (const bool early : {true, false}) {
    const auto belongs = [early](const SaidRoute& rule) { return (rule.options.mapping != Mapping::Decoded) == early; };
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
      const auto& rules = (*layer)->location_routes;
      for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
        if (belongs(**rule)) add(**rule, true, *layer != layers.back());
      }
    }
    for (const Declarations* layer : layers) {
      for (const SaidRoute& rule : layer->routes) {
        if (belongs(rule)) add(rule, false, layer != layers.back());
      }
    }
  }
  if (number == 0) dump_line(out, 2, "none", {});
}

void dump_reverses(std::string& out, const std::vector<const Declarations*>& layers) {
  title(out, "answers");
  bool any = false;
  for (const Declarations* layer : layers) {
    for (const ReverseLine& line : layer->reverses) {
      const std::string real = !line.balancer.empty() ? "balancer://" + line.balancer : line.real.scheme.empty() ? line.real.path : line.real.text();
      dump_line(out, 2, "ProxyPassReverse " + line.path + ' ' + real + (layer != layers.back() ? " (main server)" : ""), source_text(true, line.where));
      any = true;
    }
  }
  if (!any) dump_line(out, 2, "no ProxyPassReverse", {});
}

void dump_backends(std::string& out, const Declarations& lists) {
  title(out, "balancers");
  for (const auto& balancer : lists.balancers) {
    dump_line(out, 2, "balancer://" + balancer->name, source_text(true, balancer->where));
    dump_parameters(out, 3, balancer->parameters, Place::Balancer);
    for (const DeclaredMember& member : balancer->members) {
      dump_line(out, 3, "member " + member.url.name(), source_text(true, member.where));
      dump_parameters(out, 4, member.parameters, Place::Member);
    }
    if (balancer->members.empty()) dump_line(out, 3, "no member", {});
  }
  if (lists.balancers.empty()) dump_line(out, 2, "none", {});
  title(out, "backends outside balancers");
  for (const auto& member : lists.plain) {
    dump_line(out, 2, member->template_url.empty() ? member->url.name() : member->template_url, source_text(true, member->where));
    dump_parameters(out, 3, member->parameters, Place::Member);
  }
  if (lists.plain.empty()) dump_line(out, 2, "none", {});
  if (lists.sections.empty()) return;
  title(out, "sections for requests to backends");
  for (const ProxySection& section : lists.sections) dump_line(out, 2, "<Proxy " + section.pattern + '>', source_text(true, section.where));
}

}  // namespace

bool said_rule_covers(const SaidRoute& rule, std::string_view uri) { return static_cast<bool>(rule_matches(rule, uri, nullptr)); }

std::string rule_text(const SaidRoute& rule, bool in_location) { return line_text(rule, in_location); }

void dump_line(std::string& out, unsigned level, std::string_view text, std::string_view source) {
  const std::size_t begin = out.size();
  out.append(2 * level, ' ').append(text);
  if (!source.empty()) {
    const std::size_t width = out.size() - begin;
    out.append(width < kSourceColumn ? kSourceColumn - width : 1, ' ').append(source);
  }
  out += '\n';
}

std::string dump_server(const DumpedServer& server) {
  std::string out = server.title + '\n';
  const auto layers = server.config->layers();
  dump_directives(out, server);
  dump_rules(out, layers);
  dump_reverses(out, layers);
  dump_backends(out, *layers.back());
  return out;
}

}  // namespace cxxproxy::config
