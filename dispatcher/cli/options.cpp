#include "dispatcher/cli/options.h"

#include <unistd.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <climits>
#include <cstddef>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

#include "dispatcher/cli/config_file.h"
#include "dispatcher/cli/nearest_name.h"
#include "dispatcher/cli/read_file.h"
#include "dispatcher/cli/settings.h"

namespace postcall::cli {
namespace {

struct CommandText {
  Command command;
  const char* name;
  const char* summary;
};
constexpr std::array kCommands = {
    CommandText{Command::kMigrate, "migrate",
                "Brings the database to this version; safe when several start at once."},
    CommandText{Command::kRun, "run", "The service: sends each completed call to its agent's webhook, once."},
};

constexpr const char* kFooter =
    "Each option is also an environment variable (--log-level: POSTCALL_LOG_LEVEL) and a key of the "
    "TOML file\n(log-level = \"info\"). A flag beats the variable, the variable beats the file.";

// The command line or the configuration is bad. Thrown and caught in this file.
struct Usage {
  std::string message;
};

// The values given for one setting, and where they were given, as a phrase such as "in FILE, line 3".
struct Given {
  std::vector<std::string> values;
  std::string where;
};
using GivenByName = std::map<std::string, Given, std::less<>>;

// Makes one line of the text: replaces control characters, which the user may have typed.
std::string OneLine(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return std::iscntrl(c); }, '?');
  return text;
}

// The option's name alone, because a value may be a secret or a URL with a password. After a single dash the
// name is one letter, and the rest is the value.
std::string NameOf(const std::string& argument) {
  return argument.starts_with("--") ? argument.substr(0, argument.find('=')) : argument.substr(0, 2);
}

bool LooksLikeAName(const std::string& word) {
  return word.size() <= 40 &&
         std::ranges::all_of(word, [](unsigned char c) { return std::isalnum(c) || c == '-'; });
}

bool Takes(Command command, const Setting& setting) {
  return std::ranges::find(setting.commands, command) != setting.commands.end();
}

// The error for an option that the command does not have. `command` is null when the option is before the
// command.
std::string UnknownOption(const std::string& option, const CommandText* command) {
  const std::string name = option.starts_with("--") ? option.substr(2) : "";
  std::vector<std::string> names = command == nullptr ? std::vector<std::string>{"help", "version"}
                                                      : std::vector<std::string>{"help", "config"};
  std::string unknown = "unknown option " + option + "; ";
  std::string advice =
      "see postcall-dispatcher " + (command == nullptr ? "" : command->name + std::string(" ")) + "--help";
  for (const Setting& setting : Settings()) {
    const bool takes = command != nullptr && Takes(command->command, setting);
    if (setting.name == name) {
      const auto* const owner =
          takes ? command : std::ranges::find_if(kCommands, [&](const CommandText& text) {
            return Takes(text.command, setting);
          });
      const bool stands_before = command == nullptr || takes;
      return unknown.append(stands_before ? "give it after " : "it belongs to ")
          .append(owner->name)
          .append(", ")
          .append(advice);
    }
    if (takes) names.emplace_back(setting.name);
  }
  if (const auto nearest = NearestName(name, names)) advice = "did you mean --" + *nearest + "?";
  return unknown + advice;
}

[[noreturn]] void RefuseRemaining(const std::vector<std::string>& remaining, const CLI::App& app) {
  const auto* const command =
      std::ranges::find_if(kCommands, [&](const CommandText& text) { return app.got_subcommand(text.name); });
  const bool is_chosen = command != kCommands.end();
  const std::string& first = remaining.front();
  if (first.starts_with('-')) throw Usage{UnknownOption(NameOf(first), is_chosen ? command : nullptr)};
  if (!is_chosen) {
    // A text that does not look like a name is not repeated, because it may be a URL with a password.
    throw Usage{"unknown command" + (LooksLikeAName(first) ? " " + first : "") +
                "; give migrate or run, see postcall-dispatcher --help"};
  }
  throw Usage{std::string(command->name) +
              " takes only options, but there is another argument; see postcall-dispatcher " + command->name +
              " --help"};
}

// The command line: the command and its flags.
class Flags {
 public:
  Flags() : app_("Sends each completed call to its agent's webhook, once.", "postcall-dispatcher") {
    app_.set_version_flag("--version", "postcall-dispatcher " POSTCALL_VERSION);
    app_.footer("postcall-dispatcher COMMAND --help shows the options of a command.");
    app_.get_formatter()->column_width(34);
    app_.get_formatter()->label("SUBCOMMAND", "COMMAND");
    app_.get_formatter()->label("Subcommands", "Commands");
    app_.require_subcommand(0, 1);
    app_.allow_extras();
    for (const CommandText& text : kCommands) {
      CLI::App* sub = app_.add_subcommand(text.name, text.summary);
      sub->allow_extras();
      sub->footer(kFooter);
      AddOption(*sub, "config", "FILE", "TOML file with further settings");
      for (const Setting& setting : Settings()) {
        if (!Takes(text.command, setting)) continue;
        const std::string flag = "--" + std::string(setting.name);
        if (setting.kind == Setting::Kind::kSwitch) {
          sub->add_flag(flag)->description(std::string(setting.help));
        } else {
          AddOption(*sub, setting.name, setting.value, setting.help);
        }
      }
    }
  }

  // Throws Usage, and CLI11's own exceptions for help and version.
  Command Parse(std::vector<std::string> arguments) {
    for (const std::string& argument : arguments) {
      // CLI11 would use the next argument as the value.
      if (argument.starts_with("--") && argument.find('=') == argument.size() - 1) {
        throw Usage{argument + " has no value; give one, or leave the option out"};
      }
    }
    std::ranges::reverse(arguments);  // CLI11 takes them from the back
    app_.parse(std::move(arguments));
    if (const auto remaining = app_.remaining(true); !remaining.empty()) RefuseRemaining(remaining, app_);
    for (const CommandText& text : kCommands) {
      if (app_.got_subcommand(text.name)) {
        chosen_ = app_.get_subcommand(text.name);
        return text.command;
      }
    }
    throw Usage{"no command is given; give migrate or run, see postcall-dispatcher --help"};
  }

  std::optional<std::vector<std::string>> ValuesOf(std::string_view name) const {
    const CLI::Option* option = chosen_->get_option_no_throw("--" + std::string(name));
    if (option == nullptr || option->count() == 0) return std::nullopt;
    return option->results();
  }

  std::string Help() const {
    const auto chosen = app_.get_subcommands();
    return chosen.empty() ? app_.help() : chosen.front()->help("postcall-dispatcher");
  }

 private:
  static void AddOption(CLI::App& app, std::string_view name, std::string_view value, std::string_view help) {
    app.add_option("--" + std::string(name))
        ->description(std::string(help))
        ->type_name(std::string(value))
        ->expected(1)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }

  CLI::App app_;
  const CLI::App* chosen_ = nullptr;
};

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    const std::size_t first = std::min(text.find_first_not_of(' ', start), comma);
    const std::size_t last = text.find_last_not_of(' ', comma == 0 ? 0 : comma - 1);
    if (first < comma) parts.push_back(text.substr(first, last + 1 - first));
    start = comma + 1;
  }
  return parts;
}

std::string UnknownKey(const std::string& key, const std::string& where) {
  std::vector<std::string> names;
  for (const Setting& setting : Settings()) {
    if (!setting.only_flag) names.emplace_back(setting.name);
  }
  const std::optional<std::string> nearest = NearestName(key, names);
  return "unknown key " + key + " " + where +
         (nearest ? "; did you mean " + *nearest + "?"
                  : "; keys are the options of postcall-dispatcher run --help without the dashes in front");
}

GivenByName ReadConfig(const std::string& path) {
  const Result<std::string> text = ReadFile(path);
  if (!text) throw Usage{"--config " + path + " cannot be read: " + text.error() + "; give a TOML file"};
  const auto entries = ParseConfig(*text);
  if (!entries) throw Usage{"--config " + path + ", " + entries.error()};

  GivenByName given;
  for (const ConfigEntry& entry : *entries) {
    const std::string where = "in " + path + ", line " + std::to_string(entry.line);
    const auto setting = std::ranges::find_if(
        Settings(), [&](const Setting& known) { return known.name == entry.key && !known.only_flag; });
    if (setting == Settings().end()) throw Usage{UnknownKey(entry.key, where)};
    if (entry.array && setting->kind != Setting::Kind::kRepeatable) {
      throw Usage{"--" + entry.key + " takes one value; " + where + " it is an array"};
    }
    given.emplace(entry.key, Given{entry.values, where});
  }
  return given;
}

// No value when the setting is given nowhere, so that the default holds.
std::optional<Given> Find(const Setting& setting, const Flags& flags, const Environment& environment,
                          const GivenByName& file) {
  if (auto values = flags.ValuesOf(setting.name)) {
    // The last one counts, so that the user of a wrapper script can override the script's arguments.
    if (setting.kind != Setting::Kind::kRepeatable) values->erase(values->begin(), values->end() - 1);
    return Given{*std::move(values), ""};
  }
  if (setting.only_flag) return std::nullopt;
  const std::string variable = VariableOf(setting.name);
  if (const auto value = ValueOf(environment, variable)) {
    if (setting.kind == Setting::Kind::kRepeatable) return Given{SplitAtCommas(*value), "in " + variable};
    return Given{{*value}, "in " + variable};
  }
  if (const auto found = file.find(setting.name); found != file.end()) return found->second;
  return std::nullopt;
}

void Apply(const Setting& setting, const Given& given, Options& options) {
  const std::string option = "--" + std::string(setting.name);
  for (const std::string& value : given.values) {
    if (value.empty())
      throw Usage{option + " is empty" + (given.where.empty() ? "" : " " + given.where) +
                  "; give a value, or leave it out"};
  }
  const auto fault = setting.apply(options, given.values);
  if (!fault) return;
  std::string message = option + " " + *fault;
  const bool quoted = setting.kind == Setting::Kind::kValue || setting.kind == Setting::Kind::kSwitch;
  if (quoted || !given.where.empty()) {
    message += "; it is " + (quoted ? "\"" + given.values.front() + "\"" : "given") +
               (given.where.empty() ? "" : " " + given.where);
  }
  throw Usage{message};
}

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 && name[0] != '\0' ? name : "unnamed";
}

}  // namespace

std::variant<Invocation, Leave> ParseCommandLine(const std::vector<std::string>& arguments,
                                                 const Environment& environment) {
  Flags flags;
  try {
    Invocation invocation{flags.Parse(arguments), {}};
    if (const auto fault = FaultOfVariables(environment)) throw Usage{*fault};
    GivenByName file;
    if (const auto path = flags.ValuesOf("config")) {
      file = ReadConfig(path->back());
    } else if (const auto named = ValueOf(environment, VariableOf("config"))) {
      file = ReadConfig(*named);
    }
    for (const Setting& setting : Settings()) {
      if (!Takes(invocation.command, setting)) continue;
      if (const auto given = Find(setting, flags, environment, file))
        Apply(setting, *given, invocation.options);
    }
    const Options& options = invocation.options;
    // Only the flag is checked: in the environment or the file the setting may be meant for `migrate`.
    if (invocation.command == Command::kRun && flags.ValuesOf("own-tables") && options.own_tables &&
        !options.migrate) {
      throw Usage{"--own-tables of run does nothing without --migrate; give both, or neither"};
    }
    // The log cannot be reconciled with a ledger that is kept for a shorter time.
    if (options.ledger_days < options.retention_days) {
      throw Usage{"--ledger-days is " + std::to_string(options.ledger_days) +
                  " and must not be below --retention-days, which is " +
                  std::to_string(options.retention_days) + "; raise the first, or lower the second"};
    }
    if (invocation.options.instance.empty()) invocation.options.instance = HostName();
    return invocation;
  } catch (const CLI::CallForHelp&) {
    return Leave{ExitCode::kDone, flags.Help()};
  } catch (const CLI::CallForVersion& version) {
    return Leave{ExitCode::kDone, std::string(version.what()) + "\n"};
  } catch (const CLI::ArgumentMismatch& mismatch) {
    const std::string text = mismatch.what();  // "--max-in-flight: 1 required N missing"
    return Leave{ExitCode::kBadUsage,
                 OneLine(text.substr(0, text.find(':'))) + " needs a value; give one after it"};
  } catch (const CLI::ParseError& error) {
    return Leave{ExitCode::kBadUsage, OneLine(error.what()) + "; see postcall-dispatcher --help"};
  } catch (const Usage& usage) {
    return Leave{ExitCode::kBadUsage, OneLine(usage.message)};
  }
}

}  // namespace postcall::cli
