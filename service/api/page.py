"""GET /: a page for trying the service in a browser."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

router = APIRouter(include_in_schema=False)

_PAGE = Path(__file__).resolve().parent / "static" / "index.html"


@router.get("/")
async def page() -> FileResponse:
    """Returns the page: one file that loads nothing from other hosts."""
    return FileResponse(_PAGE, media_type="text/html")
