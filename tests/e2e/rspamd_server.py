# SPDX-License-Identifier: Apache-2.0
"""rspamd as a milter, for tests of more than one suite."""
from hedwig_harness import Background, free_port, host, listening, tool

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"


def start_rspamd(case):
    """Started for one test; gives the settings of a [[filters.milter]] for it."""
    folder = case.path("rspamd")
    folder.mkdir()
    port = free_port()
    # No rules, no lists of top-level domains, no languages: it is the protocol that is of interest, and a start in no time.
    (folder / "tld").write_text("com\nnet\norg\ntest\n")
    (folder / "rspamd.conf").write_text(f"""
        options {{ pidfile = "{folder}/pid"; tempdir = "{folder}"; control_socket = "{folder}/control mode=0600";
          filters = ""; url_tld = "{folder}/tld"; gtube_patterns = "reject";
          dns {{ nameserver = ["{host()}:1"]; timeout = 0.1; retransmits = 1; }} }}
        logging {{ type = "console"; level = "info"; color = false; }}
        lang_detection {{ languages = "{folder}/none"; }}
        worker "rspamd_proxy" {{ bind_socket = "{host()}:{port}"; milter = true; count = 1;
          upstream "local" {{ default = true; self_scan = true; }} }}
        actions {{ reject = 15; add_header = 6; }}
        modules {{ path = "/usr/share/rspamd/plugins/milter_headers.lua"; }}
        milter_headers {{ use = ["x-spamd-result", "x-rspamd-server"]; skip_local = false; skip_authenticated = false; }}
        """)
    case.opened(Background([tool("rspamd", "rspamd"), "-f", "-i", "-c", folder / "rspamd.conf"], folder / "log",
                           lambda: listening(host(), port), timeout=60))
    return {"name": "rspamd", "address": f"inet:{host()}:{port}"}
