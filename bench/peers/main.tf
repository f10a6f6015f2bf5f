# The same registry behind the same Traefik, as somebody would write it for Terraform.

terraform {
  required_providers {
    docker = { source = "kreuzwerker/docker" }
  }
}

variable "host" {}
variable "stack" {}
variable "domain" {}
variable "port" { type = number }
variable "registry_image" {}
variable "traefik_image" {}
variable "node" {}
variable "config" { sensitive = true }
variable "htpasswd" { sensitive = true }

provider "docker" {
  host = var.host
}

resource "docker_network" "public" {
  name       = var.stack
  driver     = "overlay"
  attachable = true
}

resource "docker_volume" "data" {
  name = "${var.stack}_registry-data"
}

resource "docker_secret" "config" {
  name = "${var.stack}-config-${substr(sha256(var.config), 0, 8)}"
  data = base64encode(var.config)
  lifecycle { create_before_destroy = true }
}

resource "docker_secret" "htpasswd" {
  name = "${var.stack}-htpasswd-${substr(sha256(var.htpasswd), 0, 8)}"
  data = base64encode(var.htpasswd)
  lifecycle { create_before_destroy = true }
}

locals {
  labels = {
    "traefik.enable"                                                  = "true"
    "traefik.swarm.network"                                           = var.stack
    "traefik.constraint-label"                                        = var.stack
    "traefik.http.services.${var.stack}.loadbalancer.server.port"     = "5000"
    "traefik.http.routers.${var.stack}-http.rule"                     = "Host(`${var.domain}`)"
    "traefik.http.routers.${var.stack}-http.entrypoints"              = "http"
    "traefik.http.routers.${var.stack}-http.service"                  = var.stack
    "traefik.http.routers.${var.stack}-http.middlewares"              = "${var.stack}-retry"
    "traefik.http.middlewares.${var.stack}-retry.retry.attempts"      = "4"
    "traefik.http.middlewares.${var.stack}-retry.retry.initialinterval" = "100ms"
  }
}

resource "docker_service" "registry" {
  name = "${var.stack}_registry"

  dynamic "labels" {
    for_each = local.labels
    content {
      label = labels.key
      value = labels.value
    }
  }

  task_spec {
    container_spec {
      image             = var.registry_image
      env               = { OTEL_TRACES_EXPORTER = "none" }
      read_only         = true
      stop_grace_period = "1m15s"
      secrets {
        secret_id   = docker_secret.config.id
        secret_name = docker_secret.config.name
        file_name   = "/etc/distribution/config.yml"
        file_uid    = "0"
        file_gid    = "0"
        file_mode   = 256
      }
      secrets {
        secret_id   = docker_secret.htpasswd.id
        secret_name = docker_secret.htpasswd.name
        file_name   = "/run/secrets/htpasswd"
        file_uid    = "0"
        file_gid    = "0"
        file_mode   = 256
      }
      mounts {
        type   = "volume"
        source = docker_volume.data.name
        target = "/var/lib/registry"
      }
      healthcheck {
        test         = ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:5000/"]
        interval     = "3s"
        timeout      = "5s"
        retries      = 5
        start_period = "15s"
      }
    }
    networks_advanced { id = docker_network.public.id }
    placement { constraints = ["node.hostname == ${var.node}"] }
    resources {
      limits { memory_bytes = 536870912 }
    }
    restart_policy {
      condition    = "any"
      delay        = "2s"
      max_attempts = 0
      window       = "0s"
    }
    log_driver {
      name    = "json-file"
      options = { max-size = "10m", max-file = "3" }
    }
  }

  mode {
    replicated { replicas = 1 }
  }
  endpoint_spec { mode = "dnsrr" }
  update_config {
    parallelism    = 1
    order          = "start-first"
    delay          = "0s"
    monitor        = "5s"
    failure_action = "rollback"
  }
  # As the provider's documentation has it, but for the first look, which is due sooner.
  converge_config {
    delay   = "5s"
    timeout = "3m"
  }
  lifecycle { ignore_changes = [task_spec[0].placement[0].platforms] }
}

resource "docker_service" "traefik" {
  name = "${var.stack}_proxy"

  task_spec {
    container_spec {
      image             = var.traefik_image
      read_only         = true
      stop_grace_period = "30s"
      args = [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--accesslog=true",
        "--providers.swarm=true",
        "--providers.swarm.endpoint=unix:///var/run/docker.sock",
        "--providers.swarm.exposedbydefault=false",
        "--providers.swarm.network=${var.stack}",
        "--providers.swarm.constraints=Label(`traefik.constraint-label`, `${var.stack}`)",
        "--providers.swarm.refreshseconds=5s",
        "--providers.providersthrottleduration=500ms",
        "--entrypoints.http.address=:80",
        "--entrypoints.http.transport.respondingtimeouts.readtimeout=0s",
        "--entrypoints.ping.address=127.0.0.1:8082",
        "--ping.entrypoint=ping",
      ]
      mounts {
        type      = "bind"
        source    = "/var/run/docker.sock"
        target    = "/var/run/docker.sock"
        read_only = true
      }
      healthcheck {
        test         = ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8082/ping"]
        interval     = "3s"
        timeout      = "5s"
        retries      = 5
        start_period = "15s"
      }
    }
    networks_advanced { id = docker_network.public.id }
    placement { constraints = ["node.role == manager"] }
    resources {
      limits { memory_bytes = 536870912 }
    }
    restart_policy {
      condition    = "any"
      delay        = "2s"
      max_attempts = 0
      window       = "0s"
    }
    log_driver {
      name    = "json-file"
      options = { max-size = "10m", max-file = "3" }
    }
  }

  mode {
    replicated { replicas = 1 }
  }
  endpoint_spec {
    mode = "dnsrr"
    ports {
      target_port    = 80
      published_port = var.port
      publish_mode   = "host"
      protocol       = "tcp"
    }
  }
  update_config {
    parallelism    = 1
    order          = "stop-first"
    delay          = "0s"
    monitor        = "5s"
    failure_action = "rollback"
  }
  converge_config {
    delay   = "5s"
    timeout = "3m"
  }
  lifecycle { ignore_changes = [task_spec[0].placement[0].platforms] }
}
