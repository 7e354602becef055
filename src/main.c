/* SPDX-License-Identifier: MIT
 *
 * cortexd: argv → configuration → run → exit code. All of it is app's.
 */
#include "cortex/app.h"

int main(int argc, char **argv)
{
    return cx_app_main(argc, argv);
}
