#pragma once

/// The options of modules on the command line of each command that uses them, and what was given for them.

#include <deque>
#include <initializer_list>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

#include "ashlar/base/options.h"

namespace ashlar::app {

/// An option on the command line of one command, and what was given for it.
struct Flag {
  Option* option;
  CLI::Option* bound = nullptr;
  std::string text;
};

/// What parsing leaves behind; the configuration file and the environment are applied before the flags.
struct Given {
  std::string config_file;
  std::deque<Flag> flags;  // bound by address
};

/// Adds the options that a command uses, by table or by name; none stands for all.
void bind(CLI::App& command, OptionSet& set, Given& given, std::initializer_list<std::string_view> used);

/// Configuration file, environment, flags: the later one wins.
OptionResult apply(const Given& given, OptionSet& set);

}  // namespace ashlar::app
