"""The configuration: read once, all mistakes told at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from tests.unit.builders import VAULT, resource
from vault_autoupdate.decide.hints import HintMode
from vault_autoupdate.model.clouds import CLOUDS
from vault_autoupdate.model.limits import Limit, parse_limits
from vault_autoupdate.model.quota import QuotaScope
from vault_autoupdate.settings import (
    Address,
    Credential,
    InvalidSettings,
    Settings,
    is_loopback,
    load_settings,
    variable,
)


def _load(_flags: Mapping[str, str | None] | None = None, /, **environment: str) -> Settings:
    return load_settings(_flags or {}, {f"VAULT_AUTOUPDATE_{name}": value for name, value in environment.items()})


def _problems(_flags: Mapping[str, str | None] | None = None, /, **environment: str) -> list[str]:
    with pytest.raises(InvalidSettings) as refused:
        _load(_flags, **environment)
    assert str(refused.value) == "\n".join(refused.value.problems)
    return refused.value.problems


def test_defaults() -> None:
    settings = load_settings({}, {"PATH": "/bin", "AZURE_CLIENT_ID": "x", "VAULT_AUTO": "y"})

    assert {name: getattr(settings, name) for name in _DEFAULTS} == _DEFAULTS


_DEFAULTS = {
    "cloud": "AzurePublic",
    "arm_endpoint": "https://management.azure.com",
    "arm_audience": "https://management.azure.com",
    "authority_host": "login.microsoftonline.com",
    "api_version": "2025-08-01",
    "credential": Credential.DEFAULT,
    "write_limit": (Limit(200, 60),),
    "read_limit": (Limit(10_000, 3600), Limit(250, 10)),
    "budget_scope": "region",
    "job_poll_min": timedelta(seconds=3),
    "job_poll_max": timedelta(seconds=30),
    "retry_pause": timedelta(seconds=2),
    "retry_min": timedelta(minutes=1),
    "retry_max": timedelta(hours=24),
    "request_timeout": timedelta(minutes=1),
    "max_connections": 32,
    "status_interval": timedelta(seconds=5),
    "startup_spread": timedelta(minutes=5),
    "hints": HintMode.OFF,
    "hint_interval": timedelta(seconds=110),
    "watch_namespaces": (),
    "metrics_address": Address("0.0.0.0", 9090),
    "health_address": Address("0.0.0.0", 8080),
    "log_level": "info",
    "log_format": "console",
}


def test_every_setting_has_a_description_for_the_help() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_a_variable_is_named_after_its_flag() -> None:
    assert variable("arm_endpoint") == "VAULT_AUTOUPDATE_ARM_ENDPOINT"


@pytest.mark.parametrize("name", CLOUDS)
def test_a_cloud_fills_in_its_endpoints_and_limits(name: str) -> None:
    settings, cloud = _load(CLOUD=name), CLOUDS[name]

    assert (settings.arm_endpoint, settings.arm_audience) == (cloud.arm_endpoint, cloud.arm_audience)
    assert settings.authority_host == cloud.authority_host
    assert settings.write_limit == parse_limits(cloud.write_limit)
    assert settings.read_limit == parse_limits(cloud.read_limit)


def test_the_other_clouds_have_arms_hourly_limit_of_writes_as_well() -> None:
    assert _load(CLOUD="AzureUSGovernment").write_limit == (Limit(200, 60), Limit(1200, 3600))


def test_what_is_given_wins_over_the_cloud() -> None:
    settings = _load(
        CLOUD="AzureChina",
        ARM_ENDPOINT="https://arm.example/",
        WRITE_LIMIT="1/1s, 2/3s",
        AUTHORITY_HOST="login.example",
    )

    assert (settings.arm_endpoint, settings.authority_host) == ("https://arm.example", "login.example")
    assert settings.write_limit == (Limit(1, 1), Limit(2, 3))
    assert settings.arm_audience == CLOUDS["AzureChina"].arm_audience


def test_flags_win_over_variables_and_empty_values_count_as_not_given() -> None:
    assert _load({"log_level": "debug"}, LOG_LEVEL="error").log_level == "debug"
    assert _load({"log_level": None}, LOG_LEVEL="error").log_level == "error"
    assert _load({"log_level": ""}, LOG_LEVEL="error").log_level == "error"
    assert _load(LOG_LEVEL="", ARM_ENDPOINT="", MAX_CONNECTIONS="").log_level == "info"


def test_the_largest_values_are_allowed() -> None:
    settings = _load(MAX_CONNECTIONS="512", METRICS_ADDRESS="host:65535")

    assert (settings.max_connections, settings.metrics_address) == (512, Address("host", 65535))


def test_values_are_read_from_text() -> None:
    settings = _load(
        CREDENTIAL="workload-identity",
        JOB_POLL_MIN="0.15s",
        MAX_CONNECTIONS="7",
        WATCH_NAMESPACES="a, b-2 ,,c",
        METRICS_ADDRESS="[::1]:9",
        HEALTH_ADDRESS=":8081",
    )

    assert settings.credential is Credential.WORKLOAD_IDENTITY
    assert (settings.job_poll_min, settings.max_connections) == (timedelta(milliseconds=150), 7)
    assert settings.watch_namespaces == ("a", "b-2", "c")
    assert (settings.metrics_address, settings.health_address) == (Address("::1", 9), Address("0.0.0.0", 8081))
    assert (str(settings.metrics_address), str(settings.health_address)) == ("[::1]:9", "0.0.0.0:8081")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("CLOUD", "Azure", "Input should be 'AzurePublic', 'AzureUSGovernment' or 'AzureChina'"),
        ("ARM_ENDPOINT", "management.azure.com", "'management.azure.com' is not an endpoint: write https://host"),
        ("ARM_ENDPOINT", "ftp://host", "'ftp://host' is not an endpoint"),
        ("ARM_ENDPOINT", "https://", "'https://' is not an endpoint"),
        ("ARM_ENDPOINT", "https://host/path", "'https://host/path' is not an endpoint"),
        ("ARM_ENDPOINT", "https://host?x=1", "'https://host?x=1' is not an endpoint"),
        ("ARM_ENDPOINT", "https://host#x", "'https://host#x' is not an endpoint"),
        ("ARM_ENDPOINT", "https://user@host", "'https://user@host' is not an endpoint"),
        ("ARM_ENDPOINT", "https://:secret@host", "is not an endpoint"),
        ("ARM_ENDPOINT", "https://host:99999", "Port out of range 0-65535"),
        ("ARM_ENDPOINT", "https://host:x", "Port could not be cast to integer value"),
        ("ARM_ENDPOINT", "https://[", "Invalid IPv6 URL"),
        ("ARM_ENDPOINT", "http://management.azure.com", "plain http is only allowed to this machine itself"),
        ("ARM_ENDPOINT", "http://127.0.0.1.example.com", "plain http is only allowed to this machine itself"),
        ("ARM_ENDPOINT", "http://10.0.0.1", "plain http is only allowed to this machine itself"),
        ("ARM_ENDPOINT", "http://0.0.0.0", "plain http is only allowed to this machine itself"),
        ("API_VERSION", "latest", "String should match pattern"),
        ("CREDENTIAL", "password", "Input should be 'workload-identity', 'managed-identity'"),
        ("WRITE_LIMIT", "200", "'200' is not a limit: write count/window, for example 200/60s"),
        ("READ_LIMIT", "1/0s", "the window of '1/0s' must be longer than nothing"),
        ("BUDGET_SCOPE", "vault", "Input should be 'region' or 'subscription'"),
        ("JOB_POLL_MIN", "0s", "must be longer than nothing"),
        ("RETRY_PAUSE", "2", "'2' is not a duration"),
        ("MAX_CONNECTIONS", "0", "Input should be greater than or equal to 1"),
        ("MAX_CONNECTIONS", "513", "Input should be less than or equal to 512"),
        ("MAX_CONNECTIONS", "many", "Input should be a valid integer"),
        ("WATCH_NAMESPACES", "a,B", "'B' is not a namespace name"),
        ("SHARD", "EMEA", "'EMEA' is no name of a shard: write up to 40 small letters, digits and hyphens"),
        ("METRICS_ADDRESS", "9090", "'9090' is not an address: write host:port, for example 0.0.0.0:8080"),
        ("METRICS_ADDRESS", "host:65536", "'host:65536' is not an address"),
        ("METRICS_ADDRESS", "::1:80", "'::1:80' is not an address"),
        ("LOG_LEVEL", "trace", "Input should be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_each_bad_value_is_told_with_its_variable_and_flag(name: str, value: str, problem: str) -> None:
    flag = name.lower().replace("_", "-")
    problems = _problems(**{name: value})

    assert len(problems) == 1
    assert problems[0].startswith(f"VAULT_AUTOUPDATE_{name} (--{flag}): ")
    assert problem in problems[0]
    assert _problems({name.lower(): value}) == problems


def test_all_mistakes_are_told_at_once_also_those_between_two_settings() -> None:
    problems = _problems(
        {"max_connections": "0"}, LOG_LEVEL="x", JOB_POLL_MIN="1h", RETRY_MIN="25h", CLOUD="Azure", TYPO="1", OTHER=""
    )

    assert [problem.split(" ")[0].strip(":") for problem in problems] == [
        "VAULT_AUTOUPDATE_OTHER",
        "VAULT_AUTOUPDATE_TYPO",
        "VAULT_AUTOUPDATE_CLOUD",
        "VAULT_AUTOUPDATE_JOB_POLL_MAX",
        "VAULT_AUTOUPDATE_RETRY_MAX",
        "VAULT_AUTOUPDATE_MAX_CONNECTIONS",
        "VAULT_AUTOUPDATE_LOG_LEVEL",
    ]


@pytest.mark.parametrize("shorter", ["JOB_POLL", "RETRY"])
def test_a_longest_time_below_the_shortest_is_refused(shorter: str) -> None:
    low, high = f"{shorter}_MIN", f"{shorter}_MAX"
    problem = f"must not be shorter than VAULT_AUTOUPDATE_{low}"

    assert problem in _problems(**{low: "2h", high: "1h"})[0]
    assert problem in _problems(**{low: "100h"})[0], "also where the longest is the default"
    settings = _load(**{low: "1h", high: "1h"})
    assert getattr(settings, low.lower()) == getattr(settings, high.lower())


@pytest.mark.parametrize("name", ["ARMENDPOINT", "Log_Level", "log_level", "X", ""])
def test_variables_that_nobody_knows_are_refused(name: str) -> None:
    assert _problems(**{name: "x"}) == [f"VAULT_AUTOUPDATE_{name}: no such setting"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVICE_HOST", "10.0.0.1"),
        ("SERVICE_PORT", "9090"),
        ("SERVICE_PORT_METRICS", "9090"),
        ("PORT", "tcp://10.0.0.1:9090"),
        ("PORT_9090_TCP", "tcp://10.0.0.1:9090"),
        ("PORT_9090_TCP_ADDR", "10.0.0.1"),
        ("METRICS_SERVICE_HOST", "10.0.0.1"),
        ("METRICS_PORT_9090_TCP_PROTO", "tcp"),
    ],
)
def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_mistake(name: str, value: str) -> None:
    assert _load(**{name: value}) == _load()


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:8765", "http://localhost:1", "http://[::1]:80", "http://127.9.9.9", "HTTP://LOCALHOST"],
)
def test_plain_http_is_allowed_to_this_machine(endpoint: str) -> None:
    assert _load(ARM_ENDPOINT=endpoint).arm_endpoint == endpoint


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("localhost.example", False), ("0.0.0.0", False),
     ("", False), ("10.0.0.1", False), ("::ffff:10.0.0.1", False)],
)  # fmt: skip
def test_what_counts_as_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_every_cloud_is_reached_by_https_with_a_token_for_itself() -> None:
    for cloud in CLOUDS.values():
        assert cloud.arm_endpoint.startswith("https://management.")
        assert cloud.arm_audience.startswith("https://management.")
        assert "/" not in cloud.authority_host
        assert not cloud.arm_endpoint.endswith("/")


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("login.example.com", "login.example.com"),
        ("https://login.example.com/", "login.example.com"),
        ("login.example.com:8443", "https://login.example.com:8443"),
        ("https://login.example.com:8443", "https://login.example.com:8443"),
    ],
)
def test_the_host_of_tokens_is_read_as_azure_identity_takes_it(given: str, host: str) -> None:
    assert _load(AUTHORITY_HOST=given).authority_host == host


@pytest.mark.parametrize("given", ["http://login.example.com", "login.example.com/tenant", "a@b", "https://", "x?y"])
def test_what_is_no_host_of_tokens_is_refused_at_start(given: str) -> None:
    (problem,) = _problems(AUTHORITY_HOST=given)
    assert problem.startswith("VAULT_AUTOUPDATE_AUTHORITY_HOST (--authority-host): ")


@pytest.mark.parametrize(
    ("shared_by", "region", "counted_by"),
    [
        ("region", "westeurope", "westeurope"),
        ("region", "", ""),
        ("region", "no name of a region", ""),
        ("subscription", "westeurope", ""),
    ],
)
def test_calls_count_by_region_where_it_is_known_and_the_limits_are_a_regions(
    shared_by: str, region: str, counted_by: str
) -> None:
    settings = load_settings({"budget_scope": shared_by}, {})
    assert settings.quota_scope(resource(), region) == QuotaScope(VAULT.subscription, counted_by)
