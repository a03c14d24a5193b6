#include "ashlar/app/kv_command_line.h"

#include <functional>

namespace ashlar::app {
namespace {

/// Adds a command by name, help and what it is.
using Adder = std::function<CLI::App*(const char*, const char*, Command)>;

template <class Field>
CLI::Option* positional(CLI::App* command, const char* name, Field& field) {
  return command->add_option(name, field)->type_name("");
}

void declare_copies(const Adder& add, CopiesArguments& arguments) {
  const auto json = [&](CLI::App* command) { command->add_flag("--json", arguments.json, "Print JSON"); };

  CLI::App* const verify = add("verify", "Read all of DATA and say what is damaged", Command::kv_verify);
  positional(verify, "DATA", arguments.data)->required();
  json(verify);

  CLI::App* const repair =
      add("repair", "Make a damaged DATA open again, with what of it can be read", Command::kv_repair);
  positional(repair, "DATA", arguments.data)->required();
  repair->add_flag("--force", arguments.force, "Rebuild manifests from the tables also where they are whole");
  json(repair);

  CLI::App* const checkpoint =
      add("checkpoint", "Make DEST a second data set like DATA, with shared tables where it can be",
          Command::kv_checkpoint);
  positional(checkpoint, "DATA", arguments.data)->required();
  positional(checkpoint, "DEST", arguments.destination)->required();

  CLI::App* const backup = add(
      "backup", "Add what DATA holds to the backups in REPO, copying only what is new", Command::kv_backup);
  positional(backup, "DATA", arguments.data)->required();
  positional(backup, "REPO", arguments.repository)->required();
  backup->add_option("--keep", arguments.keep, "Remove all but so many of the newest")->type_name("NUMBER");
  json(backup);

  CLI::App* const backups = add("backups", "List the backups in REPO", Command::kv_backups);
  positional(backups, "REPO", arguments.repository)->required();
  backups->add_flag("--check", arguments.check, "Read every byte of them and say what is damaged");
  json(backups);

  CLI::App* const restore =
      add("restore", "Make DEST a data set from backup ID of REPO, or from the newest", Command::kv_restore);
  positional(restore, "REPO", arguments.repository)->required();
  positional(restore, "DEST", arguments.restore_to)->required()->expected(1, 2)->option_text("[ID] DEST");
}

void declare_transfer(const Adder& add, TransferArguments& arguments) {
  const auto format = [&](CLI::App* command) {
    command->add_option("--format", arguments.format, "Of the file [as its name ends]")
        ->check(CLI::IsMember({"csv", "jsonl"}).description(""))
        ->type_name("csv|jsonl");
  };
  CLI::App* const out =
      add("export", "Print keys and values of DATA, or write them to FILE", Command::kv_export);
  positional(out, "DATA", arguments.data)->required();
  positional(out, "FILE", arguments.file);
  format(out);
  out->add_option("--prefix", arguments.prefix, "Only keys that begin so")->type_name("KEY");
  out->add_option("--from", arguments.from, "Only keys from here on")->type_name("KEY");
  out->add_option("--to", arguments.to, "Only keys before this one")->type_name("KEY");
  out->add_option("--family", arguments.family, "Only this column family [all, and the store's own keys]")
      ->type_name("NAME");

  CLI::App* const in =
      add("import", "Put the keys and values of FILE (-: standard input)", Command::kv_import);
  positional(in, "DATA", arguments.data)->required();
  positional(in, "FILE", arguments.file)->required();
  format(in);
  in->add_flag("--create", arguments.create, "Make DATA where there is none");
  in->add_flag("--create-families", arguments.create_families, "Make column families that are not there");
}

void declare_dump(CLI::App* dump, DumpArguments& arguments) {
  positional(dump, "DATA", arguments.data)->required();
  positional(dump, "PART", arguments.part)
      ->required()
      ->check(CLI::IsMember({"root", "manifest", "log", "table"}).description(""))
      ->option_text("root|manifest|log|table");
  positional(dump, "NUMBER", arguments.table)->description("Of the table");
  dump->add_option("--partition", arguments.partition, "Whose [0]")->type_name("NUMBER");
  dump->add_option("--limit", arguments.limit, "Stop after so many records or entries")->type_name("NUMBER");
  dump->add_flag("--json", arguments.json, "Print JSON, an object a line");
}

}  // namespace

void declare_kv(CLI::App& app, CommandLine& line, Given& given, OptionSet& set) {
  CLI::App* const kv = app.add_subcommand("kv", "Work on a data set that no server holds");
  bind(*kv, set, given, {"data", "runtime", "kv", "log", "blob", "log-level", "log-timestamps"});
  kv->require_subcommand(1);
  const Adder add = [&](const char* name, const char* help, Command command) {
    CLI::App* const sub = kv->add_subcommand(name, help)->fallthrough();
    sub->callback([&line, command] { line.command = command; });
    return sub;
  };
  positional(add("get", "Print the value of KEY", Command::kv_get), "KEY", line.key)->required();
  CLI::App* const put = add("put", "Store VALUE under KEY", Command::kv_put);
  positional(put, "KEY", line.key)->required();
  positional(put, "VALUE", line.value)->required();
  positional(add("del", "Delete each KEY", Command::kv_del), "KEY", line.keys)->required();
  CLI::App* const scan =
      add("scan", "Print keys and values from FROM (included) to TO (excluded)", Command::kv_scan);
  positional(scan, "FROM", line.from);
  positional(scan, "TO", line.to);
  scan->add_option("--limit", line.limit, "Stop after so many entries")->type_name("NUMBER");
  scan->add_flag("--reverse", line.reverse, "From the last to the first");
  positional(add("stats", "Print what the engine knows about itself", Command::kv_stats), "DATA", line.data);
  declare_copies(add, line.copies);
  declare_transfer(add, line.transfer);
  declare_dump(add("dump", "Print what a part of DATA holds", Command::kv_dump), line.dump);
}

}  // namespace ashlar::app
