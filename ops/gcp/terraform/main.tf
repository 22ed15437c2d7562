# What ops/gcp/setup makes, for those who keep their project in Terraform.
# The role's permissions are read from the file beside it, so that there is one list.

variable "project" {
  type        = string
  description = "Project of the datasets"
}

variable "aws_account" {
  type        = string
  default     = ""
  description = "AWS account whose role signs in without a key file; empty: none"
}

variable "aws_role" {
  type        = string
  default     = ""
  description = "Name of that role"
}

locals {
  role = yamldecode(file("${path.module}/../kakehi-worker-role.yaml"))
  aws  = var.aws_account == "" ? 0 : 1
}

resource "google_project_service" "needed" {
  for_each           = toset(["bigquery", "bigquerystorage", "cloudresourcemanager", "iam", "iamcredentials", "sts"])
  project            = var.project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_project_iam_custom_role" "worker" {
  project     = var.project
  role_id     = "kakehiWorker"
  title       = local.role.title
  description = local.role.description
  permissions = local.role.includedPermissions
}

resource "google_service_account" "worker" {
  project      = var.project
  account_id   = "kakehi-worker"
  display_name = "kakehi worker"
}

resource "google_project_iam_member" "worker" {
  project = var.project
  role    = google_project_iam_custom_role.worker.id
  member  = "serviceAccount:${google_service_account.worker.email}"
}

resource "google_iam_workload_identity_pool" "kakehi" {
  count                     = local.aws
  project                   = var.project
  workload_identity_pool_id = "kakehi"
}

resource "google_iam_workload_identity_pool_provider" "aws" {
  count                              = local.aws
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.kakehi[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "aws"
  aws {
    account_id = var.aws_account
  }
}

resource "google_service_account_iam_member" "aws" {
  count              = local.aws
  service_account_id = google_service_account.worker.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.kakehi[0].name}/attribute.aws_role/arn:aws:sts::${var.aws_account}:assumed-role/${var.aws_role}"
}

# For `gcloud iam workload-identity-pools create-cred-config`, which writes the file for bigquery.credentials (the last lines of ../setup).
output "identity_provider" {
  value = local.aws == 1 ? google_iam_workload_identity_pool_provider.aws[0].name : ""
}

output "service_account" {
  value = google_service_account.worker.email
}
