"""The parts of five operators' resource types that k8s/ uses: nothing else may stand in a manifest."""

from typing import Any

Schema = dict[str, Any]


def closed(required: dict[str, Any], optional: dict[str, Any] | None = None) -> Schema:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def several(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


TEXT: Schema = {"type": "string", "minLength": 1}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT: Schema = {"type": "integer", "minimum": 1}
DURATION: Schema = {"type": "string", "pattern": "^([0-9]+(ms|[smhdwy]))+$"}
METADATA = closed({"name": TEXT, "namespace": TEXT, "labels": TEXTS}, {"annotations": TEXTS})


def resource(api_version: str, kind: str, spec: Schema) -> Schema:
    return closed({"apiVersion": {"const": api_version}, "kind": {"const": kind}, "metadata": METADATA, "spec": spec})


SERVICE_MONITOR = resource(
    "monitoring.coreos.com/v1",
    "ServiceMonitor",
    closed(
        {
            "jobLabel": TEXT,
            "selector": closed({"matchLabels": TEXTS}),
            "endpoints": several(
                closed({"port": TEXT, "path": TEXT, "interval": DURATION, "scrapeTimeout": DURATION}),
            ),
        }
    ),
)
PROMETHEUS_RULE = resource(
    "monitoring.coreos.com/v1",
    "PrometheusRule",
    closed(
        {
            "groups": several(
                closed(
                    {
                        "name": TEXT,
                        "rules": several(
                            {
                                "oneOf": [
                                    closed({"record": TEXT, "expr": TEXT}, {"labels": TEXTS}),
                                    closed(
                                        {"alert": TEXT, "expr": TEXT, "labels": TEXTS, "annotations": TEXTS},
                                        {"for": DURATION, "keep_firing_for": DURATION},
                                    ),
                                ]
                            }
                        ),
                    },
                    {"interval": DURATION},
                )
            )
        }
    ),
)
POLICY = closed({"type": {"enum": ["Pods", "Percent"]}, "value": COUNT, "periodSeconds": COUNT})
BEHAVIOUR = closed({"stabilizationWindowSeconds": {"type": "integer", "minimum": 0}}, {"policies": several(POLICY)})
SCALED_OBJECT = resource(
    "keda.sh/v1alpha1",
    "ScaledObject",
    closed(
        {
            "scaleTargetRef": closed({"apiVersion": TEXT, "kind": TEXT, "name": TEXT}),
            "minReplicaCount": COUNT,
            "maxReplicaCount": COUNT,
            "pollingInterval": COUNT,
            "fallback": closed(
                {
                    "failureThreshold": COUNT,
                    "replicas": COUNT,
                    "behavior": {
                        "enum": ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]
                    },
                }
            ),
            "advanced": closed(
                {
                    "horizontalPodAutoscalerConfig": closed(
                        {"behavior": closed({"scaleUp": BEHAVIOUR, "scaleDown": BEHAVIOUR})}
                    )
                }
            ),
            "triggers": several(
                closed(
                    {
                        "type": {"const": "prometheus"},
                        "metricType": {"const": "AverageValue"},  # the one that KEDA's fallback works with
                        "metadata": closed(
                            {
                                "serverAddress": {"type": "string", "pattern": "^https?://"},
                                "query": TEXT,
                                "threshold": {"type": "string", "pattern": r"^[0-9.]+$"},
                                "ignoreNullValues": {"enum": ["true", "false"]},
                            }
                        ),
                    }
                )
            ),
        }
    ),
)
PROBE = closed(
    {
        "httpGet": closed({"path": {"type": "string", "pattern": "^/"}, "port": COUNT}),
        "periodSeconds": COUNT,
        "timeoutSeconds": COUNT,
        "failureThreshold": COUNT,
    }
)
SERVING_RUNTIME = resource(
    "serving.kserve.io/v1alpha1",
    "ServingRuntime",
    closed(
        {
            "annotations": TEXTS,
            "supportedModelFormats": several(closed({"name": TEXT, "autoSelect": {"type": "boolean"}})),
            "protocolVersions": several({"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}),
            "containers": several(
                closed(
                    {
                        "name": {"const": "kserve-container"},
                        "image": TEXT,
                        "imagePullPolicy": TEXT,
                        "env": several(closed({"name": TEXT, "value": TEXT})),
                        "ports": several(closed({"containerPort": COUNT, "protocol": {"const": "TCP"}})),
                        "startupProbe": PROBE,
                        "readinessProbe": PROBE,
                        "livenessProbe": PROBE,
                        "lifecycle": closed({"preStop": closed({"sleep": closed({"seconds": COUNT})})}),
                        "resources": closed({"requests": TEXTS, "limits": TEXTS}),
                        "securityContext": {"type": "object"},
                        "volumeMounts": several(closed({"name": TEXT, "mountPath": TEXT})),
                    }
                )
            ),
            "volumes": several(closed({"name": TEXT, "emptyDir": closed({"sizeLimit": TEXT})})),
        }
    ),
)
INFERENCE_SERVICE = resource(
    "serving.kserve.io/v1beta1",
    "InferenceService",
    closed(
        {
            "predictor": closed(
                {
                    "minReplicas": COUNT,
                    "maxReplicas": COUNT,
                    "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
                    "scaleTarget": COUNT,
                    "serviceAccountName": TEXT,
                    "automountServiceAccountToken": {"const": False},
                    "enableServiceLinks": {"const": False},
                    "terminationGracePeriodSeconds": COUNT,
                    "securityContext": {"type": "object"},
                    "model": closed(
                        {"runtime": TEXT, "modelFormat": closed({"name": TEXT}), "protocolVersion": TEXT},
                        {"storageUri": TEXT},
                    ),
                }
            )
        }
    ),
)
POD_TEMPLATE = closed({"metadata": closed({"labels": TEXTS}), "spec": {"type": "object"}})
RAY_START = {"type": "object", "additionalProperties": {"type": "string"}}
"""Flags of `ray start`; test_ray.py checks the Pods against Kubernetes' own schema."""
RAY_JOB = resource(
    "ray.io/v1",
    "RayJob",
    closed(
        {
            "entrypoint": TEXT,
            "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
            "backoffLimit": {"type": "integer", "minimum": 0},
            "shutdownAfterJobFinishes": {"type": "boolean"},
            "ttlSecondsAfterFinished": {"type": "integer", "minimum": 0},
            "rayClusterSpec": closed(
                {
                    "rayVersion": {"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$"},
                    "headGroupSpec": closed({"rayStartParams": RAY_START, "template": POD_TEMPLATE}),
                    "workerGroupSpecs": several(
                        closed(
                            {
                                "groupName": TEXT,
                                "replicas": COUNT,
                                "minReplicas": COUNT,
                                "maxReplicas": COUNT,
                                "rayStartParams": RAY_START,
                                "template": POD_TEMPLATE,
                            }
                        )
                    ),
                }
            ),
        }
    ),
)
CUSTOM = {
    "ServiceMonitor": SERVICE_MONITOR,
    "PrometheusRule": PROMETHEUS_RULE,
    "ScaledObject": SCALED_OBJECT,
    "ServingRuntime": SERVING_RUNTIME,
    "InferenceService": INFERENCE_SERVICE,
    "RayJob": RAY_JOB,
}
