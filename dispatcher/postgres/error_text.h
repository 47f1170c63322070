// The part of a database error's text that a person needs. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace postcall::postgres {

// Returns the first line of "ERROR:  relation … does not exist\nLINE 1: …", because the others may quote
// rows. It leaves out the severity, which is in the server's language ("FEHLER:  "), and the prefix of
// libpqxx 7 ("Failure during '…': ").
std::string FirstLine(std::string_view message);

// libpq's error when it could not connect has one line per address that it tried. Returns all of them as one
// line, each without the server's severity.
std::string OneLine(std::string_view message);

}  // namespace postcall::postgres
