#pragma once

/// What commands on data sets share: how one is named, opened, and said to have failed.

#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "ashlar/app/data_home.h"
#include "ashlar/kv/lsm/store.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar::app {

/// Exit status: the command was carried out, and something is damaged or was lost.
constexpr int exit_damaged = 3;

/// One line on stderr. Returns the exit status 1.
int say_failed(const std::string& subject, const std::string& why);
/// The same with what to do about it, as far as the code tells.
int say_failed(const std::string& subject, const Error& error);

/// Runs `main` on shard 0 of a runtime with so many (0: one per core), which it is told. Returns its exit
/// status, or 1 after one line where there is no runtime.
int run_command(RuntimeOptions options, unsigned shards,
                const std::function<Task<int>(unsigned shards)>& main);

/// A data set as it was named on the command line.
struct NamedHome {
  std::string name;
  std::unique_ptr<blob::Home> home;
};
enum class Expect : std::uint8_t {
  anything,
  something,  ///< a directory must have a root record: opening one without makes it
};
/// dir:PATH or blob(DEVICE). The error is the exit status, after one line on stderr.
Task<std::expected<NamedHome, int>> find_home(std::string text, const Settings* settings, Expect expect);

/// The store of a data set, on one shard.
struct NamedStore {
  std::string name;
  std::unique_ptr<lsm::LsmStore> store;
};
Task<std::expected<NamedStore, int>> open_data(std::string text, const Settings* settings,
                                               Expect expect = Expect::something);
/// The exit status of work on an open store, which is closed: `status`, or 1 after one line on stderr.
Task<int> close_data(NamedStore opened, int status);

}  // namespace ashlar::app
