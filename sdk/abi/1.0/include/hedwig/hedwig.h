/* SPDX-License-Identifier: Apache-2.0 */
/* hedwig/hedwig.h - every stable header. Draft interfaces live in draft/ and
 * are not included. */
#ifndef HEDWIG_HEDWIG_H
#define HEDWIG_HEDWIG_H

#include "auth.h"
#include "base.h"
#include "config.h"
#include "dns.h"
#include "filter.h"
#include "host.h"
#include "plugin.h"
#include "storage.h"

#endif /* HEDWIG_HEDWIG_H */
