#include "dispatcher/cli/cli.h"

int main(int argc, char** argv) { return static_cast<int>(postcall::cli::Main(argc, argv)); }
