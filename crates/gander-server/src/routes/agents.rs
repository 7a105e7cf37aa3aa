//! Agents, settings and folders.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use gander_api::dto::{
    Agent, AgentCheck, Agents, Config, ConfigPatch, Folders, FoldersQuery, NewAgent, Problem as ProblemBody,
};

use crate::problem::{Ask, Body, Problem, Reply, reply};
use crate::server::App;

/// Agents that sessions can use.
#[utoipa::path(get, path = "/agents", tag = "agents", operation_id = "listAgents", responses((status = 200, body = Agents)))]
pub async fn list(State(app): State<App>) -> Reply<Agents> {
    reply(app.gander.agents().await)
}

/// Adds an agent, or changes the one of that id.
#[utoipa::path(post, path = "/agents", tag = "agents", operation_id = "addAgent", request_body = NewAgent,
    responses((status = 200, body = Agent), (status = 400, body = ProblemBody)))]
pub async fn add(State(app): State<App>, Body(body): Body<NewAgent>) -> Reply<Agent> {
    reply(app.gander.add_agent(body).await)
}

/// Removes an agent from the settings. Its sessions stay.
#[utoipa::path(delete, path = "/agents/{id}", tag = "agents", operation_id = "removeAgent", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn remove(State(app): State<App>, Path(agent): Path<String>) -> Result<StatusCode, Problem> {
    app.gander.remove_agent(&agent).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Starts an agent, asks what it can do, and ends it.
#[utoipa::path(post, path = "/agents/{id}/check", tag = "agents", operation_id = "checkAgent", params(("id" = String, Path)),
    responses((status = 200, body = AgentCheck), (status = 404, body = ProblemBody)))]
pub async fn check(State(app): State<App>, Path(agent): Path<String>) -> Reply<AgentCheck> {
    reply(app.gander.check_agent(&agent).await)
}

/// Settings.
#[utoipa::path(get, path = "/config", tag = "agents", operation_id = "getConfig", responses((status = 200, body = Config)))]
pub async fn config(State(app): State<App>) -> Reply<Config> {
    reply(app.gander.config().await)
}

/// Changes settings.
#[utoipa::path(patch, path = "/config", tag = "agents", operation_id = "patchConfig", request_body = ConfigPatch,
    responses((status = 200, body = Config), (status = 400, body = ProblemBody)))]
pub async fn patch_config(State(app): State<App>, Body(body): Body<ConfigPatch>) -> Reply<Config> {
    reply(app.gander.patch_config(body).await)
}

/// The folders in a folder, for choosing one.
#[utoipa::path(get, path = "/folders", tag = "agents", operation_id = "listFolders", params(FoldersQuery),
    responses((status = 200, body = Folders), (status = 404, body = ProblemBody)))]
pub async fn folders(State(app): State<App>, Ask(query): Ask<FoldersQuery>) -> Reply<Folders> {
    reply(app.gander.folders(query).await)
}
