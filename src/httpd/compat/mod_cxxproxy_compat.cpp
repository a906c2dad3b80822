// The stand-in: an empty module under mod_proxy's name, for servers that do not load mod_proxy.
//
// WHAT    With it <IfModule mod_proxy.c> and <IfModule proxy_module> are true and mod_rewrite's [P]
//         flag is accepted, so that existing configurations work unchanged. It does nothing itself:
//         a record without commands and without hooks. mod_cxxproxy tells it from the real mod_proxy
//         by the missing command table.
// SHAPES  A shared object of its own: httpd loads modules into one global symbol scope, where a
//         second `proxy_module` would take the place of the real one.
#include <httpd.h>
#include <http_config.h>

// httpd matches <IfModule> against the name in the record; STANDARD20_MODULE_STUFF would put this
// source file's name there, so the head of the record is written out.
extern "C" {
extern __attribute__((visibility("default"))) module proxy_module;

module_struct proxy_module = {
    MODULE_MAGIC_NUMBER_MAJOR,
    MODULE_MAGIC_NUMBER_MINOR,
    -1,  // index, given out by httpd
    "mod_proxy.c",
    nullptr,  // dynamic load handle
    nullptr,  // next module
    MODULE_MAGIC_COOKIE,
    nullptr,  // rewrite_args
    nullptr,  // create_dir_config
    nullptr,  // merge_dir_config
    nullptr,  // create_server_config
    nullptr,  // merge_server_config
    nullptr,  // cmds: none, which marks the stand-in
    nullptr,  // register_hooks
    0,        // flags
};
}
