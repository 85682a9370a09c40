/* SPDX-License-Identifier: Apache-2.0 */
/* Makes every public type reachable from an exported symbol, so that abidw and
 * abidiff see the whole ABI: types behind function-pointer tables and `const
 * void *` results are invisible otherwise. Build with -g -O0 as a shared object. */
#include <hedwig/hedwig.h>

#define PROBE(type)                                                                                                    \
  HEDWIG_EXPORT void probe_##type(const type* value);                                                                  \
  void probe_##type(const type* value) { (void)value; }                                                                \
  struct probe_end_of_##type

PROBE(hedwig_bytes);
PROBE(hedwig_str);
PROBE(hedwig_pair);
PROBE(hedwig_msg_id);
PROBE(hedwig_error);
PROBE(hedwig_slice);
PROBE(hedwig_completion);
PROBE(hedwig_log_record);
PROBE(hedwig_host);
PROBE(hedwig_host_worker);
PROBE(hedwig_host_timer);
PROBE(hedwig_host_metric);
PROBE(hedwig_host_config);
PROBE(hedwig_host_dns);
PROBE(hedwig_dns_request);
PROBE(hedwig_dns_answer);
PROBE(hedwig_dns_record);
PROBE(hedwig_config_key);
PROBE(hedwig_config_schema);
PROBE(hedwig_provider);
PROBE(hedwig_plugin);
PROBE(hedwig_note);
PROBE(hedwig_storage);
PROBE(hedwig_storage_limits);
PROBE(hedwig_storage_request);
PROBE(hedwig_stage_request);
PROBE(hedwig_append_request);
PROBE(hedwig_put_request);
PROBE(hedwig_move_request);
PROBE(hedwig_message_request);
PROBE(hedwig_list_request);
PROBE(hedwig_stage_result);
PROBE(hedwig_commit_result);
PROBE(hedwig_storage_hint);
PROBE(hedwig_entry);
PROBE(hedwig_list_result);
PROBE(hedwig_read_result);
PROBE(hedwig_state_stats);
PROBE(hedwig_storage_stats);
PROBE(hedwig_auth);
PROBE(hedwig_auth_request);
PROBE(hedwig_auth_limits);
PROBE(hedwig_auth_result);
PROBE(hedwig_scram_result);
PROBE(hedwig_filter);
PROBE(hedwig_filter_session);
PROBE(hedwig_filter_address);
PROBE(hedwig_filter_header);
PROBE(hedwig_filter_message);
PROBE(hedwig_filter_delivery);
PROBE(hedwig_verdict);
PROBE(hedwig_edit);
