// Directives: from httpd's command table to what they say.
//
// WHAT    make_command_table() makes httpd's command table out of config/directive_rows.h: each row gives two
//         commands (standard name and Cxx name) with the same handler. Handlers turn cmd_parms into
//         words, a scope and a source line, and let config/ decide.
// ERRORS  A handler answers the text that httpd shows after "Syntax error on line n of file", nullptr
//         when all is well, DECLINE_CMD for a standard name that a foreign mod_proxy owns.
#pragma once

#include <array>

#include "config/directive_rows.h"
#include "config/neighbour_rows.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

const char* take_raw(cmd_parms* cmd, void* dir_config, const char* arguments) noexcept;
const char* take_one(cmd_parms* cmd, void* dir_config, const char* argument) noexcept;
const char* take_flag(cmd_parms* cmd, void* dir_config, int on) noexcept;
// A directive of another module: read there, or refused because that module is not loaded.
const char* refuse_neighbour(cmd_parms* cmd, void* dir_config, const char* arguments) noexcept;

// True for a module record named mod_proxy.c with directives; a record without any is a stand-in.
bool foreign_mod_proxy_loaded() noexcept;

constexpr command_rec make_command(const config::DirectiveRow& row, const char* name) {
  command_rec command{};
  command.name = name;
  command.cmd_data = const_cast<config::DirectiveRow*>(&row);
  command.req_override =
      ((row.contexts & config::kInServer) != 0 ? RSRC_CONF : 0) | ((row.contexts & config::kInLocation) != 0 ? ACCESS_CONF : 0);
  command.errmsg = row.help;
  switch (row.arguments) {
    case config::Arguments::Flag:
      command.func.flag = take_flag;
      command.args_how = FLAG;
      break;
    case config::Arguments::One:
      command.func.take1 = take_one;
      command.args_how = TAKE1;
      break;
    case config::Arguments::Raw:
      command.func.raw_args = take_raw;
      command.args_how = RAW_ARGS;
      break;
  }
  return command;
}

constexpr command_rec make_neighbour(const config::NeighbourRow& row) {
  command_rec command{};
  command.name = row.name;
  command.cmd_data = const_cast<config::NeighbourRow*>(&row);
  command.req_override = RSRC_CONF | ACCESS_CONF;
  command.errmsg = row.advice;
  command.func.raw_args = refuse_neighbour;
  command.args_how = RAW_ARGS;
  return command;
}

// Two commands for each row, one for each directive of another module, and the empty one that ends the table.
constexpr auto make_command_table() {
  std::array<command_rec, 2 * config::kDirectiveRows.size() + config::kNeighbourRows.size() + 1> table{};
  std::size_t next = 0;
  for (const auto& row : config::kDirectiveRows) {
    table[next++] = make_command(row, row.own_name);
    table[next++] = make_command(row, row.standard_name);
  }
  for (const auto& row : config::kNeighbourRows) table[next++] = make_neighbour(row);
  return table;
}

}  // namespace cxxproxy::httpd
