#include "dispatcher/cli/cli.h"

int main(int argc, char** argv) { return postcall::cli::Main(argc, argv); }
