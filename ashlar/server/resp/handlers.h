#pragma once

/// The functions of the command table, by the route they take.

#include "ashlar/runtime/task/task.h"

namespace ashlar::resp {

class KeyCall;
class SessionCall;
class ServerCall;

// Route::keys, string_commands.cc
void get_command(KeyCall& call);
void set_command(KeyCall& call);
void setnx_command(KeyCall& call);
void setex_command(KeyCall& call);
void psetex_command(KeyCall& call);
void getset_command(KeyCall& call);
void getdel_command(KeyCall& call);
void getex_command(KeyCall& call);
void append_command(KeyCall& call);
void strlen_command(KeyCall& call);
void getrange_command(KeyCall& call);
void setrange_command(KeyCall& call);
void incr_command(KeyCall& call);
void decr_command(KeyCall& call);
void incrby_command(KeyCall& call);
void decrby_command(KeyCall& call);
void incrbyfloat_command(KeyCall& call);
void mget_command(KeyCall& call);

// Route::keys, generic_commands.cc
void mset_command(KeyCall& call);
void msetnx_command(KeyCall& call);
void del_command(KeyCall& call);
void exists_command(KeyCall& call);
void type_command(KeyCall& call);
void expire_command(KeyCall& call);
void pexpire_command(KeyCall& call);
void expireat_command(KeyCall& call);
void pexpireat_command(KeyCall& call);
void ttl_command(KeyCall& call);
void pttl_command(KeyCall& call);
void expiretime_command(KeyCall& call);
void pexpiretime_command(KeyCall& call);
void persist_command(KeyCall& call);
void rename_command(KeyCall& call);
void renamenx_command(KeyCall& call);

// Route::session, session_commands.cc
void ping_command(SessionCall& call);
void echo_command(SessionCall& call);
void select_command(SessionCall& call);
void auth_command(SessionCall& call);
void hello_command(SessionCall& call);
void quit_command(SessionCall& call);
void reset_command(SessionCall& call);
void time_command(SessionCall& call);
void multi_command(SessionCall& call);
void discard_command(SessionCall& call);
void unwatch_command(SessionCall& call);
void command_command(SessionCall& call);  // command_command.cc

// Route::server
Task<> exec_command(ServerCall& call);  // transaction.cc
Task<> watch_command(ServerCall& call);
Task<> client_command(ServerCall& call);  // client_command.cc
Task<> config_command(ServerCall& call);  // config_command.cc
Task<> info_command(ServerCall& call);    // info_command.cc
Task<> dbsize_command(ServerCall& call);  // keyspace_commands.cc
Task<> flush_command(ServerCall& call);
Task<> keys_command(ServerCall& call);
Task<> randomkey_command(ServerCall& call);
Task<> scan_command(ServerCall& call);  // scan_command.cc

}  // namespace ashlar::resp
