"""Built-in functions that leave no setting, lock, sequence value, large object or channel in the session.

A selection by hand from pg_proc: what isn't here only costs its connection a reset. Immutable and stable
functions, and of the volatile ones those that read a clock, a random number or the system's catalogs, or
sleep. None that came after PostgreSQL 15: on an older server such a name may be a function of the user's.
"""

from __future__ import annotations

_AGGREGATES_AND_WINDOWS = """
    array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp cume_dist dense_rank
    every first_value json_agg json_object_agg jsonb_agg jsonb_object_agg lag last_value lead max min mode
    nth_value ntile percent_rank percentile_cont percentile_disc range_agg range_intersect_agg rank regr_avgx
    regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy row_number stddev
    stddev_pop stddev_samp string_agg sum var_pop var_samp variance xmlagg
"""

_NUMBERS = """
    abs acos acosd asin asind atan atan2 atan2d atand cbrt ceil ceiling cos cosd cosh cot cotd degrees div exp
    factorial floor gcd lcm ln log log10 min_scale mod pi power radians random round scale sign sin sind sinh
    sqrt tan tand tanh trim_scale trunc width_bucket
"""

_TEXT_AND_BYTES = """
    ascii bit_count bit_length btrim char_length character_length chr concat concat_ws convert convert_from
    convert_to decode encode format get_bit get_byte initcap left length lower lpad ltrim md5 normalize
    octet_length parse_ident quote_ident quote_literal quote_nullable regexp_count regexp_instr regexp_like
    regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr
    repeat replace reverse right rpad rtrim set_bit set_byte sha224 sha256 sha384 sha512 split_part
    starts_with string_to_array string_to_table strpos substr to_ascii to_hex translate unistr upper
"""

_DATES_AND_TIMES = """
    age clock_timestamp date_bin date_part date_trunc isfinite justify_days justify_hours justify_interval
    make_date make_interval make_time make_timestamp make_timestamptz now statement_timestamp timeofday
    timezone to_char to_date to_number to_timestamp transaction_timestamp
"""

_ARRAYS_AND_RANGES = """
    array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position
    array_positions array_prepend array_remove array_replace array_to_string array_upper cardinality daterange
    generate_series generate_subscripts int4multirange int4range int8multirange int8range isempty lower_inc
    lower_inf multirange numrange range_merge trim_array tsrange tstzrange unnest upper_inc upper_inf
"""

_JSON = """
    array_to_json json_array_elements json_array_elements_text json_array_length json_build_array
    json_build_object json_each json_each_text json_extract_path json_extract_path_text json_object_keys
    json_populate_record json_populate_recordset json_strip_nulls json_to_record json_to_recordset json_typeof
    jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object
    jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object
    jsonb_object_keys jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz
    jsonb_path_query jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first
    jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record jsonb_populate_recordset jsonb_pretty
    jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json
    to_json to_jsonb
"""

_OTHER_TYPES = """
    abbrev area broadcast center cidr diagonal diameter enum_first enum_last enum_range family gen_random_uuid
    height host hostmask inet_merge inet_same_family int2 int4 int8 float4 float8 macaddr8_set7bit masklen
    netmask network npoints num_nonnulls num_nulls oid phraseto_tsquery plainto_tsquery querytree radius
    setweight slope strip text to_tsquery to_tsvector ts_headline ts_rank ts_rank_cd tsvector_to_array
    websearch_to_tsquery width xpath xpath_exists
"""

_SYSTEM = """
    col_description current_database current_query current_schema current_schemas current_setting format_type
    getdatabaseencoding has_column_privilege has_database_privilege has_function_privilege
    has_schema_privilege has_sequence_privilege has_table_privilege inet_client_addr inet_client_port
    inet_server_addr inet_server_port obj_description pg_backend_pid pg_blocking_pids pg_char_to_encoding
    pg_client_encoding pg_column_size pg_conf_load_time pg_database_size pg_encoding_to_char
    pg_function_is_visible pg_get_constraintdef pg_get_expr pg_get_function_arguments
    pg_get_function_identity_arguments pg_get_function_result pg_get_functiondef pg_get_indexdef
    pg_get_keywords pg_get_partkeydef pg_get_ruledef pg_get_serial_sequence pg_get_triggerdef pg_get_userbyid
    pg_get_viewdef pg_has_role pg_indexes_size pg_is_in_recovery pg_last_wal_receive_lsn
    pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_listening_channels pg_postmaster_start_time
    pg_relation_filenode pg_relation_size pg_size_bytes pg_size_pretty pg_sleep pg_sleep_for pg_sleep_until
    pg_table_is_visible pg_table_size pg_tablespace_size pg_total_relation_size pg_type_is_visible pg_typeof
    shobj_description to_regclass to_regnamespace to_regproc to_regprocedure to_regrole to_regtype version
"""

HARMLESS_FUNCTIONS = frozenset(
    (
        _AGGREGATES_AND_WINDOWS
        + _NUMBERS
        + _TEXT_AND_BYTES
        + _DATES_AND_TIMES
        + _ARRAYS_AND_RANGES
        + _JSON
        + _OTHER_TYPES
        + _SYSTEM
    ).split()
)
